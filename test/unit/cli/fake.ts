import type { MapKey, MapName, MapValue } from '../../../src/abi/index.js';
import * as abi from '../../../src/abi/index.js';
import type { CliEnvironment } from '../../../src/cli/environment.js';
import { runCli } from '../../../src/cli/program.js';
import type { MapsReader, MapUsage, PinnedLink } from '../../../src/cli/reader.js';

type Contents = { [M in MapName]?: [MapKey<M>, MapValue<M>][] };

const SHARDS = 8;
export const NOW_NS = 100_000_000_000_000n;

/** A reader of maps that were never in a kernel. */
export class FakeReader implements MapsReader {
  readonly pinPath = '/sys/fs/bpf/shunt';
  closed = false;

  constructor(
    private readonly contents: Contents,
    private readonly slotIds: number[] = [],
    private readonly pinned: PinnedLink[] = [],
  ) {}

  nowNs() {
    return NOW_NS;
  }
  mapNames() {
    return abi.MAP_NAMES.filter((name): name is MapName => name !== 'events');
  }
  entries<M extends MapName>(name: M): Iterable<[MapKey<M>, MapValue<M>]> {
    return (this.contents[name] ?? []) as [MapKey<M>, MapValue<M>][];
  }
  maxEntries(name: MapName) {
    return name === 'stats_paths' ? abi.PATH_MAX * SHARDS : 1024;
  }
  slots(base: number, count: number) {
    return Uint32Array.from(this.slotIds.slice(base, base + count));
  }
  usage(): MapUsage[] {
    return [
      {
        name: 'events',
        type: 'ringbuf',
        entries: null,
        maxEntries: 262144,
        keySize: 0,
        valueSize: 0,
        bytes: 274624,
      },
      {
        name: 'ct_flows',
        type: 'hash',
        entries: this.contents.ct_flows?.length ?? 0,
        maxEntries: 524288,
        keySize: 40,
        valueSize: 128,
        bytes: 4194304,
      },
      {
        name: 'lb_slots',
        type: 'array',
        entries: 3,
        maxEntries: 2097152,
        keySize: 4,
        valueSize: 4,
        bytes: null,
      },
    ];
  }
  links() {
    return [...this.pinned];
  }
  [Symbol.dispose]() {
    this.closed = true;
  }
}

export interface Run {
  code: number;
  out: string;
  err: string;
}

/** Runs a command line against an environment that does nothing by itself. */
export async function run(args: string[], changes: Partial<CliEnvironment> = {}): Promise<Run> {
  let out = '';
  let err = '';
  const unexpected = () => {
    throw new Error('not expected to be called');
  };
  const code = await runCli(
    args,
    {
      stdout: { write: (text) => (out += text) },
      stderr: { write: (text) => (err += text) },
      env: {},
      hostname: () => 'Node1',
      openReader: unexpected,
      runAgent: unexpected,
      cleanup: unexpected,
      ...changes,
    },
    '9.9.9',
  );
  return { code, out, err };
}

export function slotRun(base: number, count: number): bigint {
  return (BigInt(count) << 32n) | BigInt(base);
}

const ALL =
  abi.BACKEND_F_ALIVE |
  abi.BACKEND_F_READY |
  abi.BACKEND_F_SERVING |
  abi.BACKEND_F_IN_INTERNAL |
  abi.BACKEND_F_IN_CLUSTER;

export function backend(
  addr: string,
  port: number,
  serviceId: number,
  more: Partial<abi.LbBackend> = {},
): abi.LbBackend {
  return { addr, port, proto: 6, service_id: serviceId, generation: 1, state: ALL, locality_id: 0, ...more };
}

export function frontend(
  serviceId: number,
  type: number,
  more: Partial<abi.LbFrontend> = {},
): abi.LbFrontend {
  return {
    internal: 0n,
    external: 0n,
    service_id: serviceId,
    flags: 0,
    affinity_timeout_s: 0,
    range_set_id: 0,
    internal_mask: abi.BACKEND_F_IN_INTERNAL,
    external_mask: abi.BACKEND_F_IN_INTERNAL,
    type,
    ...more,
  };
}

export function meta(namespace: string, name: string, portName: string, more: Partial<abi.MetaService> = {}) {
  return {
    namespace_: namespace,
    name,
    port_name: portName,
    family: 4,
    proto: 6,
    affinity: 0,
    affinity_timeout_s: 0,
    ...more,
  };
}

export function tuple(
  src: string,
  sport: number,
  dst: string,
  dport: number,
  dir = 0,
  proto = 6,
): abi.CtTuple {
  return { src, dst, sport, dport, proto, dir };
}

export function flow(peer: abi.CtTuple, flags: number, more: Partial<abi.CtFlow> = {}): abi.CtFlow {
  return {
    peer,
    created_ns: NOW_NS - 90_000_000_000n,
    last_seen_ns: NOW_NS - 2_500_000_000n,
    packets: 10n,
    bytes: 1000n,
    flags,
    service_id: 1,
    backend_id: 1,
    backend_generation: 1,
    synack_next: 0,
    ingress_ifindex: 2,
    next_hop: {
      expires_ns: 0n,
      generation: 0,
      ifindex: 0,
      dmac: new Uint8Array(6),
      smac: new Uint8Array(6),
      mtu: 0,
    },
    ...more,
  };
}
