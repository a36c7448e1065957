import type { DesiredService } from '../../model/desired.js';
import type { Warning } from '../../model/objects.js';
import type { NodeAddress } from '../addresses.js';
import type { Delta } from '../delta.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Listener } from './listeners.js';
import { type NodePort, type Taken, takenNodePorts, wayOut } from './taken.js';

/** Sockets come and go without telling anybody. */
const PERIOD_MS = 60_000;

export interface NodePortWatchOptions {
  readListeners: () => Listener[];
  onWarning: (warning: Warning) => void;
  log: Logger;
  periodMs?: number;
}

/**
 * Reports NodePorts whose number a process of this node listens on: the NodePort wins, as with kube-proxy, and the
 * process hears nothing more from outside. Looks when NodePorts or addresses changed, and once a minute.
 */
export class NodePortWatch {
  readonly #o: NodePortWatchOptions;
  /** By service id. */
  readonly #nodePorts = new Map<string, NodePort[]>();
  #addresses: readonly NodeAddress[] = [];
  #taken: readonly Taken[] = [];
  #dirty = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: NodePortWatchOptions) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.check(), this.#o.periodMs ?? PERIOD_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** How many there were at the last look. */
  get taken(): number {
    return this.#taken.length;
  }

  changed({ upserts, removals }: Pick<Delta<DesiredService>, 'upserts' | 'removals'>): void {
    for (const id of removals) this.#set(id, []);
    for (const service of upserts) this.#set(service.id, nodePortsOf(service));
  }

  setAddresses(addresses: readonly NodeAddress[]): void {
    this.#addresses = addresses;
    this.#dirty = true;
  }

  /** The maps have what was told. */
  written(): void {
    if (this.#dirty) this.check();
  }

  check(): void {
    this.#dirty = false;
    // Nothing to compare with, nothing to read.
    if (this.#nodePorts.size === 0) {
      this.#taken = [];
      return;
    }
    try {
      const nodePorts = [...this.#nodePorts.values()].flat();
      this.#taken = takenNodePorts(nodePorts, this.#o.readListeners(), this.#addresses);
    } catch (error) {
      this.#o.log.debug(`read sockets of this node: ${messageOf(error)}`);
      return;
    }
    for (const { nodePort, listener } of this.#taken) {
      this.#o.onWarning({
        object: `Service ${nodePort.service}`,
        field: 'spec.ports',
        message: `serve node port ${nodePort.port}/${nodePort.protocol}: a process of this node listens on ${listener} too, and the Service gets what is sent there (EADDRINUSE). ${wayOut(nodePort)}`,
      });
    }
  }

  #set(id: string, nodePorts: NodePort[]): void {
    const before = this.#nodePorts.get(id) ?? [];
    if (String(before.map(({ port }) => port)) === String(nodePorts.map(({ port }) => port))) return;
    this.#dirty = true;
    if (nodePorts.length > 0) this.#nodePorts.set(id, nodePorts);
    else this.#nodePorts.delete(id);
  }
}

function nodePortsOf({ namespace, name, protocol, family, frontends }: DesiredService): NodePort[] {
  return frontends
    .filter(({ type }) => type === 'NodePort')
    .map(({ port }) => ({ service: `${namespace}/${name}`, protocol, family, port }));
}
