import type { Change } from '../model/objects.js';
import { computeNodeAddresses, computeSnatSources, type NodeAddress } from './addresses.js';
import type { Attacher, Retry } from './attach.js';
import type { LostProgram } from './attached.js';
import type { Counters } from './counters.js';
import { classifyDevices, type Device, type DeviceClass, routeDevices } from './devices.js';
import { messageOf } from './errors.js';
import type { HostChange, HostWatch } from './host.js';
import type { Logger } from './log.js';
import type { NodeTables } from './node-tables.js';
import type { AgentOptions } from './options.js';

export interface NodeWatchOptions {
  options: Pick<AgentOptions, 'nodeName' | 'devices' | 'nodePortAddresses'>;
  host: Pick<HostWatch, 'links' | 'addresses' | 'defaultRoutes'>;
  attacher: Pick<Attacher<unknown>, 'adopt' | 'reconcile' | 'ifindexes' | 'xdpDevices' | 'forget'>;
  tables: NodeTables;
  counters: Counters;
  log: Logger;
  onAddresses: (addresses: NodeAddress[]) => void;
}

const RETRY_MS = { first: 100, most: 30_000 };

/**
 * This node as its kernel and its Node object have it: keeps classes, hooks and the node's tables current.
 * A device is listed in the tables before its programs are attached, and afterwards only taken out.
 */
export class NodeWatch {
  readonly #o: NodeWatchOptions;
  #classes = new Map<number, DeviceClass>();
  #internalIPs: string[] = [];
  #seen = false;
  #known = false;
  #released = false;
  #adopted = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: NodeWatchOptions) {
    this.#o = options;
  }

  /** Whether the Node object has been seen. */
  get nodeKnown(): boolean {
    return this.#seen;
  }

  get hasIPv6(): boolean {
    return this.#o.host.addresses.some((address) => address.family === 6 && address.scope === 0);
  }

  /** Changes of netlink's view. */
  hostChanged(changes: ReadonlySet<HostChange>): void {
    const { counters, tables } = this.#o;
    counters.hostEvents++;
    counters.fibGenerations++;
    tables.raiseFibGeneration();
    if (changes.has('link') || changes.has('address') || changes.has('route')) this.#settle();
  }

  /** Looks for this node's own object among the changes. */
  objectsChanged(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind !== 'Node' || change.key !== this.#o.options.nodeName) continue;
      this.#seen ||= change.object !== undefined;
      // A Node that is deleted, or loses its address for a moment, still has the devices it had.
      const ips = change.object?.internalIPs ?? [];
      if (ips.length === 0 || (this.#known && String(ips) === String(this.#internalIPs))) continue;
      this.#internalIPs = ips;
      this.#known = true;
      this.#released = true;
      this.#settle();
    }
  }

  /**
   * Goes on without the Node object. Until it is known or this is called nothing is attached: without its
   * addresses an uplink may look like a pod's veth.
   */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#settle();
  }

  /** Attaches anew what somebody has detached. */
  attachAgain(lost: readonly LostProgram[]): void {
    for (const program of lost) this.#o.attacher.forget(program);
    this.#failures = 0;
    this.#settle();
  }

  stop(): void {
    clearTimeout(this.#retry);
    this.#released = false;
  }

  #settle(): void {
    if (!this.#released) return;
    clearTimeout(this.#retry);
    let retry: Retry = 'soon';
    try {
      retry = this.#settleOnce();
    } catch (error) {
      this.#o.log.error({ err: error }, `keep devices current: ${messageOf(error)}`);
    }
    if (retry !== 'soon') this.#failures = 0;
    if (retry === 'no') return;
    const soon = RETRY_MS.first * 2 ** Math.min(this.#failures, 20);
    if (retry === 'soon') this.#failures++;
    this.#retry = setTimeout(
      () => this.#settle(),
      retry === 'soon' ? Math.min(RETRY_MS.most, soon) : RETRY_MS.most,
    );
  }

  #settleOnce(): Retry {
    const { host, attacher, tables, options, onAddresses } = this.#o;
    this.#adoptOnce();
    const facts = {
      links: host.links,
      addresses: host.addresses,
      routes: host.defaultRoutes,
      internalIPs: this.#internalIPs,
    };
    const devices = classifyDevices(facts, options.devices, this.#classes);
    this.#report(devices);
    this.#classes = new Map(devices.map((device) => [device.ifindex, device.class]));
    const input = {
      addresses: facts.addresses,
      devices,
      internalIPs: this.#internalIPs,
      nodePortAddresses: options.nodePortAddresses,
      defaultRouteDevices: facts.routes.flatMap(routeDevices),
    };
    tables.setSnatSources(computeSnatSources(input));
    tables.setDevices(devices);
    onAddresses(computeNodeAddresses(input));
    const { retry } = attacher.reconcile(devices, new Set(facts.links.map((link) => link.ifindex)));
    tables.setXdpDevices(attacher.xdpDevices);
    return retry;
  }

  /** What an earlier agent called an uplink stays one, but only where its programs are still attached. */
  #adoptOnce(): void {
    if (this.#adopted) return;
    this.#adopted = true;
    const { attacher, host, tables } = this.#o;
    attacher.adopt(host.links.map((link) => link.ifindex));
    const earlier = tables.readDevices();
    for (const ifindex of attacher.ifindexes) {
      const deviceClass = earlier.get(ifindex);
      if (deviceClass) this.#classes.set(ifindex, deviceClass);
    }
  }

  #report(devices: readonly Device[]): void {
    const { log } = this.#o;
    for (const device of devices) {
      if (this.#classes.get(device.ifindex) === device.class) continue;
      log.info({ device: device.name, ifindex: device.ifindex, class: device.class }, 'device classified');
    }
    const present = new Set(devices.map((device) => device.ifindex));
    for (const ifindex of this.#classes.keys())
      if (!present.has(ifindex)) log.info({ ifindex }, 'device gone');
  }
}
