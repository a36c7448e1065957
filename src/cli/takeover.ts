import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as abi from '../abi/index.js';
import { cleanup } from '../agent/cleanup.js';
import { parseLinkPinName } from '../agent/pins.js';
import { ConfigWords, linksDirectory, openReadOnly, type ReadOnlyDatapath } from '../datapath/index.js';
import { lockPinPath } from '../datapath/lock.js';
import { PROTOCOLS } from '../datapath/protocols.js';
import { refOf } from '../datapath/read.js';
import type { FlowView } from '../datapath/views.js';
import { BpfLink, monotonicNs } from '../native/index.js';
import type { FamilyPort, Machine, ShuntControl, ShuntState } from '../takeover/index.js';
import { realMachine } from '../takeover/index.js';
import { CliError } from './errors.js';

/** The real machine and the real maps. */
export function openTakeover(pinPath: string): { machine: Machine; control: ShuntControl } {
  if (process.geteuid?.() !== 0)
    throw new CliError("look for kube-proxy's rules: not permitted (EPERM). run it as root");
  return { machine: realMachine(), control: new PinnedShunt(pinPath) };
}

/** No longer than the data path itself believes in them (bpf/ct/flow.h). */
const IDLE_SECONDS = { 'half-open': 10, unreplied: 60, active: 120 } as const;

class PinnedShunt implements ShuntControl {
  constructor(private readonly pinPath: string) {}

  async look(): Promise<ShuntState | undefined> {
    using datapath = openIfPinned(this.pinPath);
    if (!datapath) return undefined;
    const { reader } = datapath;
    const config = reader.config();
    const now = monotonicNs();
    const services = reader.services();
    const known = new Map<string, abi.LbFrontend>();
    const ports: FamilyPort[] = [];
    for (const [key, value] of reader.entries('lb_frontends')) {
      const port = portOf(key);
      known.set(keyOf(port), value);
      if (value.internal >> 32n === 0n) continue;
      const { namespace, name } = refOf(value.service_id, services);
      ports.push(name === '' ? port : { ...port, service: `${namespace}/${name}` });
    }
    const nodeAddresses = new Set<string>();
    for (const [ip, { flags }] of reader.entries('lb_addresses')) {
      if (flags & abi.ADDRESS_F_NODE_PORTS) nodeAddresses.add(ip);
    }
    const ownTuples: ShuntState['ownTuples'] = [];
    const flows = { tcp: 0, udp: 0, sctp: 0 };
    for (const flow of reader.flows(now)) {
      const name = flow.protocol.toLowerCase();
      if ((name !== 'tcp' && name !== 'udp' && name !== 'sctp') || !isLive(flow)) continue;
      flows[name]++;
      const { source, backend, flags } = flow;
      const isOwnPort =
        flags.includes('past_stack') || (flags.includes('direct') && flags.includes('restore_ingress'));
      if (name !== 'sctp' && isOwnPort)
        ownTuples.push({ protocol: name === 'tcp' ? 'TCP' : 'UDP', source, endpoint: backend });
    }
    const sinceNs = Number(now - config.agent_seen_ns);
    return {
      pinPath: this.pinPath,
      agentSeenSeconds: config.agent_seen_ns === 0n ? null : Math.max(0, Math.round(sinceNs / 1e6) / 1e3),
      hooks: countHooks(this.pinPath),
      draining: config.drain === BigInt(abi.DRAIN_OPERATOR) || config.drain === BigInt(abi.DRAIN_HAND_OVER),
      takingOver: config.takeover_until_ns > now,
      flows,
      ownTuples,
      endpoints: [...reader.backends().values()].map((backend) => backend.ip),
      ports,
      serves: (port) => known.has(keyOf(port)),
      isService: ({ ip, port, protocol }) => {
        const family = ip.includes(':') ? 6 : 4;
        return (
          known.has(keyOf({ family, ip, port, protocol })) ||
          (nodeAddresses.has(ip) && known.has(keyOf({ family, ip: '*', port, protocol })))
        );
      },
    };
  }

  async setTakeover(seconds: number): Promise<void> {
    const until = seconds === 0 ? 0n : monotonicNs() + BigInt(seconds) * 1_000_000_000n;
    this.#write('takeover_until_ns', until);
  }

  async setDrain(on: boolean): Promise<void> {
    this.#write('drain', BigInt(on ? abi.DRAIN_OPERATOR : abi.DRAIN_NO));
  }

  async handOver(): Promise<string | undefined> {
    return this.#unlessHeld(() => {
      lockPinPath(this.pinPath)?.();
      this.#write('drain', BigInt(abi.DRAIN_HAND_OVER));
      return undefined;
    });
  }

  async cleanUp(): Promise<{ removed: number; problems: string[] } | string> {
    return this.#unlessHeld(async () => {
      const { removed, problems } = await cleanup({ pinPath: this.pinPath });
      return { removed: removed.length, problems };
    });
  }

  async #unlessHeld<T>(action: () => T | Promise<T>): Promise<T | string> {
    try {
      return await action();
    } catch (error) {
      if ((error as { code?: string }).code !== 'EBUSY') throw error;
      return "end Shunt's agent and run 'shunt takeover --undo' again: its programs begin no flow, but they are attached";
    }
  }

  #write(field: 'takeover_until_ns' | 'drain', value: bigint): void {
    using datapath = openReadOnly({ pinPath: this.pinPath });
    new ConfigWords(datapath.abi, (name) => datapath.map(name)).set(field, value);
  }
}

function openIfPinned(pinPath: string): ReadOnlyDatapath | undefined {
  try {
    return openReadOnly({ pinPath });
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
}

function portOf(key: abi.LbFrontendKey): FamilyPort {
  const isNodePort = key.kind !== abi.FRONTEND_KIND_EXACT;
  const isSixth = isNodePort ? key.kind === abi.FRONTEND_KIND_NODEPORT6 : key.addr.includes(':');
  return {
    family: isSixth ? 6 : 4,
    ip: isNodePort ? '*' : key.addr,
    port: key.port,
    protocol: PROTOCOLS[key.proto] ?? String(key.proto),
  };
}

function keyOf({ family, ip, port, protocol }: FamilyPort): string {
  return `${family}|${ip}|${port}|${protocol}`;
}

function isLive(flow: FlowView): boolean {
  switch (flow.state) {
    case 'established':
    case 'half-closed':
      return true;
    case 'closing':
    case 'reset':
      return false;
    default:
      return flow.idleSeconds <= IDLE_SECONDS[flow.state];
  }
}

/** Pinned links whose device or cgroup is still there, and clsact filters that the agent says it has. */
function countHooks(pinPath: string): number {
  const directory = linksDirectory(pinPath);
  if (!existsSync(directory)) return 0;
  let count = 0;
  for (const name of readdirSync(directory)) {
    if (parseLinkPinName(name) === undefined && !name.startsWith('sk_')) continue;
    using link = BpfLink.openPinned(join(directory, name));
    if (link.info.ifindex || link.info.cgroupId) count++;
  }
  return count;
}
