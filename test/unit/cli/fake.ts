import {
  type LbConfig,
  MAP_NAMES,
  type MapKey,
  type MapName,
  type MapValue,
} from '../../../src/abi/index.js';
import type { CliEnvironment } from '../../../src/cli/environment.js';
import { runCli } from '../../../src/cli/program.js';
import type { LiveMaps, LiveState, PinnedLink } from '../../../src/cli/reader.js';
import type {
  AffinityView,
  BackendView,
  FlowView,
  FrontendView,
  ServiceCounters,
  TableView,
} from '../../../src/datapath/views.js';

export const NOW_NS = 100_000_000_000_000n;

/** What a fake node's maps say; everything is empty by default. */
export interface FakeContents {
  frontends?: FrontendView[];
  backends?: BackendView[];
  flows?: FlowView[];
  affinities?: AffinityView[];
  counters?: Record<number, Partial<ServiceCounters>>;
  paths?: Record<string, [packets: number, bytes: number]>;
  drops?: Record<string, number>;
  tables?: TableView[];
  config?: Partial<LbConfig>;
  entries?: { [M in MapName]?: [MapKey<M>, MapValue<M>][] };
  links?: PinnedLink[];
  memory?: Record<string, number>;
}

/** Live maps that were never in a kernel. Views come as the data path's reader gives them: in no useful order. */
export class FakeLive implements LiveState {
  readonly pinPath = '/sys/fs/bpf/shunt';
  readonly maps: LiveMaps;
  closed = false;

  constructor(private readonly contents: FakeContents = {}) {
    const c = contents;
    this.maps = {
      frontends: () => c.frontends ?? [],
      backends: () => new Map((c.backends ?? []).map((b) => [b.id, b])),
      flows: () => c.flows ?? [],
      affinities: () => c.affinities ?? [],
      serviceCounters: (id) => ({
        ...{ newFlows: 0, packets: 0, bytes: 0, replyPackets: 0, replyBytes: 0 },
        ...{ refused: 0, dropped: 0, affinityHits: 0 },
        ...c.counters?.[id],
      }),
      drops: () => Object.entries(c.drops ?? {}).map(([reason, packets]) => ({ reason, packets })),
      paths: () =>
        Object.entries(c.paths ?? {}).map(([path, [packets, bytes]]) => ({ path, packets, bytes })),
      config: () => ({
        fib_generation: 0n,
        takeover_until_ns: 0n,
        agent_seen_ns: 0n,
        layout_version: 1n,
        drain: 0n,
        ...c.config,
      }),
      tables: () => c.tables ?? [],
      entries: function* <M extends MapName>(name: M) {
        yield* (c.entries?.[name] ?? []) as [MapKey<M>, MapValue<M>][];
      },
    };
  }

  nowNs() {
    return NOW_NS;
  }
  mapNames() {
    return MAP_NAMES.filter((name): name is MapName => name !== 'events');
  }
  memoryBytes(mapName: string) {
    return this.contents.memory?.[mapName] ?? null;
  }
  links() {
    return [...(this.contents.links ?? [])];
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
      stdout: {
        write: (text) => {
          out += text;
        },
      },
      stderr: {
        write: (text) => {
          err += text;
        },
      },
      env: {},
      hostname: () => 'Node1',
      openLive: unexpected,
      runAgent: unexpected,
      cleanUp: unexpected,
      examine: unexpected,
      openTakeover: unexpected,
      ...changes,
    },
    '9.9.9',
  );
  return { code, out, err };
}
