/** What the packet bench measures: each case is a packet, the state it meets and what must come of it. */
import type { CtFlow, CtTuple } from '../../src/abi/index.js';
import type { Template, VaryingField } from './driver.js';
import { type Flow, offsets, type Protocol } from './frames.js';
import { BOOKS, type Book } from './network.js';
import { nodePortOf } from './services.js';
import { establish, frameAt, ROUTES, type Route, type Stop } from './traffic.js';
import type { BenchWorld, ProgramName } from './world.js';

/**
 * Which maps a case meets. `flows`: few services, one established flow of each kind. `new`: few services, flow
 * tables emptied before each round. `full`: LRU flow tables full, each new flow evicts. `many`: 10,000
 * services of each kind, 65,536 established TCP flows of each family.
 */
export type WorldName = 'flows' | 'new' | 'full' | 'many';

export const MANY_SERVICES = 10_000;
export const MANY_FLOWS = 65_536;

export const VERDICT = { next: -1, drop: 2, redirect: 7, xdpPass: 2, xdpTx: 3 } as const;

export interface PacketCase {
  /** Row of the table: what happens. */
  name: string;
  family: 4 | 6;
  protocol: Protocol;
  world: WorldName;
  stop: Stop;
  /** Programs that bring about the state, besides the one under test. */
  helpers: readonly ProgramName[];
  verdict: number;
  /** Counters that every packet raises by one, and no others: proof that the path is the one named. */
  counted: readonly string[];
  /** Runs in a round. */
  repeat: number;
  /** Brings about the state and says what to send. */
  prepare(world: BenchWorld): Template;
}

/** Unique, for filters and for comparing runs. */
export function idOf(c: PacketCase): string {
  return `${c.name}, ${c.protocol === 'tcp' ? 'TCP' : 'UDP'}, IPv${c.family}`;
}

interface Kind {
  family: 4 | 6;
  protocol: Protocol;
  book: Book;
}

const KINDS: Kind[] = ([4, 6] as const).flatMap((family) =>
  (['tcp', 'udp'] as const).map((protocol) => ({ family, protocol, book: BOOKS[family] })),
);

const PORT = { service: 80, nodePort: 30_080, localNodePort: 30_081, dropNodePort: 30_082, pod: 8080 };
/** Numbers of cluster IPs with few services; with many, 0 to MANY_SERVICES - 1 are plain ones. */
export const VIP = { plain: 60_000, maglev: 60_001, affinity: 60_002, empty: 60_003 };
const CLIENT_PORT = 40_000;

export const REPEAT = { established: 4000, fresh: 2000 };

/** Fresh source ports, then a fresh source address: 8 million tuples before one comes again. */
function freshSources(family: 4 | 6): VaryingField[] {
  const at = offsets(family);
  return [
    { offset: at.sport, base: 10_000, count: 40_000, divisor: 1 },
    { offset: at.srcLow, base: 0x0101, count: 200, divisor: 40_000 },
  ];
}

function nobody({ family, protocol, book }: Kind): PacketCase[] {
  const from = { protocol, sport: CLIENT_PORT, dport: 443 };
  const stops: [string, Stop, Flow][] = [
    ['pod sends', { program: 'tc_pod_in', on: 'pod1' }, { ...from, src: book.pod1, dst: book.elsewhere }],
    [
      'pod gets',
      { program: 'tc_pod_out', on: 'pod1', cameBy: 'uplink' },
      { ...from, src: book.elsewhere, dst: book.pod1 },
    ],
    ['uplink in', { program: 'tc_uplink_in', on: 'uplink' }, { ...from, src: book.client, dst: book.pod1 }],
    [
      'uplink out',
      { program: 'tc_uplink_out', on: 'uplink', cameBy: 'pod1' },
      { ...from, src: book.pod1, dst: book.client },
    ],
    ['XDP', { program: 'xdp_uplink', on: 'uplink' }, { ...from, src: book.client, dst: book.pod1 }],
  ];
  return stops.map(([where, stop, flow]) => ({
    name: `concerns nobody: ${where}`,
    family,
    protocol,
    world: 'flows',
    stop,
    helpers: [],
    verdict: where === 'XDP' ? VERDICT.xdpPass : VERDICT.next,
    counted: [],
    repeat: REPEAT.established,
    prepare: () => ({ frame: frameAt(stop, flow) }),
  }));
}

interface Way {
  name: string;
  route: Route;
  from: (book: Book) => Pick<Flow, 'src' | 'dst' | 'dport'>;
  forward: { verdict: number; counted: string };
  back: { verdict: number; counted: string };
}

const WAYS: Way[] = [
  {
    name: 'pod -> ClusterIP (tc)',
    route: ROUTES.podToRemote,
    from: (book) => ({ src: book.pod1, dst: book.vip(VIP.plain), dport: PORT.service }),
    forward: { verdict: VERDICT.next, counted: 'LOCAL' },
    back: { verdict: VERDICT.next, counted: 'REPLY_EGRESS' },
  },
  {
    name: 'outside -> NodePort, backend here (tc)',
    route: ROUTES.outsideToLocal,
    from: (book) => ({ src: book.client, dst: book.node, dport: PORT.localNodePort }),
    forward: { verdict: VERDICT.next, counted: 'LOCAL' },
    back: { verdict: VERDICT.next, counted: 'REPLY_EGRESS' },
  },
  {
    name: 'outside -> NodePort, backend elsewhere (tc)',
    route: ROUTES.outsideToRemoteTc,
    from: (book) => ({ src: book.client, dst: book.node, dport: PORT.nodePort }),
    forward: { verdict: VERDICT.redirect, counted: 'REMOTE_TC' },
    back: { verdict: VERDICT.redirect, counted: 'REPLY_TC' },
  },
  {
    name: 'outside -> NodePort, backend elsewhere (XDP)',
    route: ROUTES.outsideToRemoteXdp,
    from: (book) => ({ src: book.client, dst: book.node, dport: PORT.nodePort }),
    forward: { verdict: VERDICT.xdpTx, counted: 'REMOTE_XDP' },
    back: { verdict: VERDICT.xdpTx, counted: 'REPLY_XDP' },
  },
];

/** Two clients of one frontend in the same world need two source ports. */
const clientPort = (way: Way) => CLIENT_PORT + WAYS.indexOf(way);

function established({ family, protocol, book }: Kind, way: Way): PacketCase[] {
  const flow = { protocol, ...way.from(book), sport: clientPort(way) };
  const side = (which: 'forward' | 'back'): PacketCase => ({
    name: `${way.name}, ${which === 'forward' ? 'established' : 'its reply'}`,
    family,
    protocol,
    world: 'flows',
    stop: way.route[which],
    helpers: [way.route.forward.program, way.route.back.program],
    verdict: way[which].verdict,
    counted: [way[which].counted],
    repeat: REPEAT.established,
    prepare: (world) => {
      const packets = establish(world, way.route, flow);
      return { frame: which === 'forward' ? packets.request : packets.reply };
    },
  });
  return [side('forward'), side('back')];
}

function fresh({ family, protocol, book }: Kind, way: Way, world: 'new' | 'full'): PacketCase {
  const flow = { protocol, ...way.from(book), sport: CLIENT_PORT };
  return {
    name: `${way.name}, new flow${world === 'full' ? ', table full' : ''}`,
    family,
    protocol,
    world,
    stop: way.route.forward,
    helpers: [],
    verdict: way.forward.verdict,
    counted: [way.forward.counted, 'NEW_FLOWS'],
    repeat: REPEAT.fresh,
    prepare: () => ({
      frame: frameAt(way.route.forward, flow, { flags: 'S', options: 20 }),
      vary: freshSources(family),
    }),
  };
}

/** New flows of pods whose cost depends on the service. */
function freshToService({ family, protocol, book }: Kind): PacketCase[] {
  const stop = ROUTES.podToRemote.forward;
  const at = offsets(family);
  const make = (name: string, world: WorldName, vip: number, vary: VaryingField[]): PacketCase => ({
    name: `pod -> ClusterIP (tc), new flow, ${name}`,
    family,
    protocol,
    world,
    stop,
    helpers: [],
    verdict: VERDICT.next,
    counted: ['LOCAL', 'NEW_FLOWS'],
    repeat: REPEAT.fresh,
    prepare: () => ({
      frame: frameAt(
        stop,
        { protocol, src: book.pod1, sport: CLIENT_PORT, dst: book.vip(vip), dport: PORT.service },
        { flags: 'S', options: 20 },
      ),
      vary,
    }),
  });
  const everyService: VaryingField[] = [
    { offset: at.dstLow, base: 0, count: MANY_SERVICES, divisor: 1 },
    { offset: at.sport, base: 10_000, count: 40_000, divisor: MANY_SERVICES },
  ];
  const oneClient = [{ offset: at.sport, base: 10_000, count: 40_000, divisor: 1 }];
  return [
    make('Maglev', 'new', VIP.maglev, freshSources(family)),
    make('affinity', 'new', VIP.affinity, oneClient),
    make('10,000 services in turn', 'many', 0, everyService),
  ];
}

/** Established flows in turn: caches as cold as a busy node's. */
function busy({ family, protocol, book }: Kind): PacketCase[] {
  if (protocol === 'udp') return [];
  const stop = ROUTES.podToRemote.forward;
  const at = offsets(family);
  const flow = { protocol, src: book.pod1, sport: 0, dst: book.vip(VIP.plain), dport: PORT.service };
  return [
    {
      name: 'pod -> ClusterIP (tc), established, 65,536 flows in turn',
      family,
      protocol,
      world: 'many',
      stop,
      helpers: [ROUTES.podToRemote.back.program],
      verdict: VERDICT.next,
      counted: ['LOCAL'],
      repeat: REPEAT.established,
      prepare: (world) => {
        const { request } = establish(world, ROUTES.podToRemote, flow);
        copyFlow(world, flow);
        return { frame: request, vary: [{ offset: at.sport, base: 0, count: MANY_FLOWS, divisor: 1 }] };
      },
    },
  ];
}

/** Both entries of an established flow once more for every other client port. */
function copyFlow(world: BenchWorld, flow: Flow): void {
  const ours = world
    .entries('ct_flows')
    .filter(([key]) => (key.dir === 0 ? key.sport : key.dport) === flow.sport);
  const pair = ours.filter(([key]) => key.src.includes(':') === flow.src.includes(':'));
  const copies: [CtTuple, CtFlow][] = [];
  for (let port = 0; port < MANY_FLOWS; port++) {
    if (port === flow.sport) continue;
    for (const [key, value] of pair) {
      const original = key.dir === 0;
      copies.push([
        { ...key, ...(original ? { sport: port } : { dport: port }) },
        { ...value, peer: { ...value.peer, ...(original ? { dport: port } : { sport: port }) } },
      ]);
    }
  }
  world.setAll('ct_flows', copies);
}

function refused({ family, protocol, book }: Kind): PacketCase[] {
  const pod = ROUTES.podToRemote.forward;
  const wire = ROUTES.outsideToRemoteTc.forward;
  const from = { protocol, sport: CLIENT_PORT };
  const toEmpty = { ...from, src: book.pod1, dst: book.vip(VIP.empty), dport: PORT.service };
  const toLocal = { ...from, src: book.client, dst: book.node, dport: PORT.dropNodePort };
  const what = protocol === 'tcp' ? 'RST' : 'ICMP';
  return [
    {
      name: 'refusal: no endpoint (TCP: RST, UDP: ICMP)',
      family,
      protocol,
      world: 'flows',
      stop: pod,
      helpers: [],
      verdict: VERDICT.redirect,
      counted: ['REFUSED'],
      repeat: REPEAT.fresh,
      prepare: () => ({
        frame: frameAt(pod, toEmpty, { flags: 'S', options: 20 }),
        // The ICMP error's own headers: IP and 8 bytes.
        ...(what === 'ICMP' ? { grown: (family === 4 ? 20 : 40) + 8 } : {}),
      }),
    },
    {
      name: 'drop: Local policy, no endpoint here',
      family,
      protocol,
      world: 'flows',
      stop: wire,
      helpers: [],
      verdict: VERDICT.drop,
      counted: ['NO_LOCAL_BACKEND'],
      repeat: REPEAT.fresh,
      prepare: () => ({ frame: frameAt(wire, toLocal, { flags: 'S', options: 20 }) }),
    },
  ];
}

/** The services that the cases of a world talk to. */
export function addServices(world: BenchWorld, name: WorldName): void {
  for (const { protocol, book } of KINDS) {
    const remote = { protocol, backends: book.remotes, backendPort: PORT.pod };
    const at = (number: number) => ({ ip: book.vip(number), port: PORT.service });
    const nodePort = nodePortOf(book.node);
    world.services.add([
      { ...remote, ...at(VIP.plain) },
      { ...remote, ...at(VIP.maglev), backendPort: PORT.pod + 1, maglev: true },
      { ...remote, ...at(VIP.affinity), backendPort: PORT.pod + 2, affinity: true },
      { ...remote, ...at(VIP.empty), backends: [] },
      { ...remote, ip: nodePort, port: PORT.nodePort, backendPort: PORT.pod + 3 },
      {
        protocol,
        ip: nodePort,
        port: PORT.localNodePort,
        backends: [book.pod2],
        onNode: [book.pod2],
        backendPort: PORT.pod,
      },
      { ...remote, ip: nodePort, port: PORT.dropNodePort, dropsOutside: true },
    ]);
    if (name !== 'many') continue;
    world.services.add(
      // A backend port of its own each: no two flows of a client meet in one reply tuple.
      Array.from({ length: MANY_SERVICES }, (_, n) => ({ ...remote, ...at(n), backendPort: 20_000 + n })),
    );
  }
}

export function packetCases(): PacketCase[] {
  const cases = KINDS.flatMap((kind) => [
    ...nobody(kind),
    ...WAYS.flatMap((way) => [...established(kind, way), fresh(kind, way, 'new')]),
    fresh(kind, WAYS[0] as Way, 'full'),
    ...freshToService(kind),
    ...busy(kind),
    ...refused(kind),
  ]);
  // Rows of the table in the order in which they are described above, not by family.
  const names = [...new Set(cases.map((c) => c.name))];
  return cases.sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
}
