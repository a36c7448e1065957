import { BACKEND_F_ALIVE, BACKEND_F_READY, BACKEND_F_SERVING, DRAIN_HAND_OVER } from '../../src/abi/index.js';
import { BOOKS, type Book } from '../support/packet/addresses.js';
import { build, decode, hex, type Packet, readdress, sctp, tcp, udp } from '../support/packet/index.js';
import { answer, first, more, podGets, podSends } from '../support/packet/steps.js';
import { flowPair, packetTable, type Row } from '../support/packet/table.js';
import type { PacketWorld } from '../support/packet/world.js';

const BUILDERS = { tcp, udp, sctp };
type Proto = keyof typeof BUILDERS;

const opening = (proto: Proto, from: string, to: string): Packet => {
  if (proto === 'tcp') return tcp(from, to, { flags: 'S', seq: 1000, options: hex('020405b40402080a') });
  if (proto === 'udp') return udp(from, to, { payload: 'query' });
  return sctp(from, to, { tag: 0, payload: hex('01000014 11223344 00010000 000a000a 55667788') });
};

function everyProtocol(b: Book, proto: Proto): Row[] {
  const client = b.at(b.pod1, 40000);
  const service = b.at(b.vip, 80);
  const open = opening(proto, client, service);
  const table = proto === 'tcp' ? 'half_open' : 'any';
  const name = `${proto} v${b.family}`;
  const withBackend = (backend: string) => ({
    given: (w: PacketWorld) => {
      w.service({ at: service, proto, backends: [backend] });
    },
    out: readdress(open, { dst: backend }),
    flows: flowPair({ table, proto, from: client, to: service, backend }),
  });
  const ways: [string, string][] = [
    ['a backend on this node', b.at(b.pod2, 8080)],
    ['a backend on another node', b.at(b.remote, 8080)],
    ['a backend with the port of the service', b.at(b.pod2, 80)],
  ];
  const rows: Row[] = ways.map(([what, backend]) => {
    const { given, out, flows } = withBackend(backend);
    return {
      does: `${name}: a pod reaches ${what}, its address kept`,
      given,
      steps: [
        podSends({ in: open, verdict: 'TCX_NEXT', out, paths: { LOCAL: 1 }, services: first(open), flows }),
      ],
    };
  });
  const backend = b.at(b.pod2, 8080);
  const { given, out } = withBackend(backend);
  const reply =
    proto === 'tcp'
      ? tcp(backend, client, { flags: 'SA', seq: 7000, ack: 1001 })
      : BUILDERS[proto](backend, client, { payload: hex('0a0b0c0d') });
  const begins = podSends({
    in: open,
    verdict: 'TCX_NEXT',
    out,
    paths: { LOCAL: 1 },
    services: first(open),
  });
  const restored = podGets({
    in: reply,
    verdict: 'TCX_NEXT',
    out: readdress(reply, { src: service }),
    paths: { REPLY_EGRESS: 1 },
    services: answer(reply),
  });
  rows.push({
    does: `${name}: the answer is restored on its way to the pod`,
    given,
    steps: [
      begins,
      {
        ...restored,
        flows: flowPair({
          table,
          proto,
          from: client,
          to: service,
          backend,
          flags: 'SEEN_REPLY',
        }),
      },
    ],
  });
  const isHandedOver = proto === 'udp';
  rows.push({
    does: `${name}: before the programs go, ${isHandedOver ? 'datagrams go up' : 'flows go on'}, and answers are restored`,
    given,
    steps: [
      begins,
      podSends({
        before: (w) => w.configure({ drain: BigInt(DRAIN_HAND_OVER) }),
        in: open,
        verdict: 'TCX_NEXT',
        ...(isHandedOver
          ? { out: 'unchanged' as const }
          : { out, paths: { LOCAL: 1 }, services: more(open) }),
      }),
      restored,
    ],
  });
  rows.push({
    does: `${name}: a flow keeps its backend when the list changes`,
    given: (w) => {
      w.service({ at: service, proto, backends: [backend, b.at(b.remote, 8080)] });
    },
    steps: [
      podSends({ in: open, verdict: 'TCX_NEXT', out, paths: { LOCAL: 1 }, services: first(open) }),
      podSends({
        before: (w) => w.made[0]?.choose([1]),
        in: open,
        verdict: 'TCX_NEXT',
        out,
        paths: { LOCAL: 1 },
        services: more(open),
      }),
    ],
  });
  rows.push({
    does: `${name}: an answer that belongs to no flow passes untouched`,
    steps: [podGets({ in: reply, verdict: 'TCX_NEXT', out: 'unchanged', flows: [] })],
  });
  return rows;
}

function cases(b: Book): Row[] {
  const client = b.at(b.pod1, 40000);
  const service = b.at(b.vip, 80);
  const backend = b.at(b.pod2, 8080);
  const far = b.at(b.remote, 8080);
  const syn = tcp(client, service, { flags: 'S', seq: 1000 });
  const query = udp(client, service, { payload: 'query' });
  const v = `v${b.family}`;
  const dnat = (p: Packet, to = backend) => readdress(p, { dst: to });
  return [
    {
      does: `${v}: a service port differs by protocol`,
      given: (w) => {
        w.service({ at: service, proto: 'tcp', backends: [backend] });
        w.service({ at: service, proto: 'udp', backends: [far] });
      },
      steps: [
        podSends({
          in: syn,
          verdict: 'TCX_NEXT',
          out: dnat(syn),
          paths: { LOCAL: 1 },
          services: first(syn, 1),
        }),
        podSends({
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query, far),
          paths: { LOCAL: 1 },
          services: first(query, 2),
        }),
      ],
    },
    {
      does: `${v}: a pod reaches a NodePort on the node's address`,
      given: (w) => {
        w.service({ at: b.nodePort(30080), backends: [far] });
      },
      steps: [b.node, b.node2nd]
        .map((node) => {
          const p = tcp(client, b.at(node, 30080), { flags: 'S', seq: 9 });
          return podSends({
            in: p,
            verdict: 'TCX_NEXT',
            out: dnat(p, far),
            paths: { LOCAL: 1 },
            services: true,
          });
        })
        .slice(0, 1),
    },
    {
      does: `${v}: externalTrafficPolicy Local is no limit for pods: they use the whole list`,
      given: (w) => {
        w.service({ at: b.nodePort(30080), externalPolicy: 'Local', backends: [far] });
      },
      steps: [
        podSends({
          in: readdress(syn, { dst: b.at(b.node, 30080) }),
          verdict: 'TCX_NEXT',
          out: dnat(syn, far),
          paths: { LOCAL: 1 },
          services: first(syn),
        }),
      ],
    },
    {
      does: `${v}: a pod reaches a load-balancer IP, its address kept`,
      given: (w) => {
        w.service({ at: b.at(b.lb, 443), type: 'LoadBalancer', backends: [far] });
      },
      steps: [
        podSends({
          in: readdress(syn, { dst: b.at(b.lb, 443) }),
          verdict: 'TCX_NEXT',
          out: dnat(syn, far),
          paths: { LOCAL: 1 },
          services: first(syn),
        }),
      ],
    },
    {
      does: `${v}: internalTrafficPolicy Local uses the backends of this node`,
      given: (w) => {
        w.service({ at: service, internalPolicy: 'Local', backends: [far, backend] });
      },
      steps: [
        podSends({ in: syn, verdict: 'TCX_NEXT', out: dnat(syn), paths: { LOCAL: 1 }, services: first(syn) }),
      ],
    },
    {
      does: `${v}: internalTrafficPolicy Local drops while backends are only elsewhere`,
      given: (w) => {
        w.service({ at: service, internalPolicy: 'Local', backends: [far] });
      },
      steps: [
        podSends({
          in: syn,
          verdict: 'TC_ACT_SHOT',
          drops: { NO_LOCAL_BACKEND: 1 },
          services: { 1: { dropped: 1 } },
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: a UDP flow moves when its backend no longer serves`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend, far] });
      },
      steps: [
        podSends({
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
        podSends({
          before: (w) => {
            w.made[0]?.backendState(0, { clear: BACKEND_F_SERVING | BACKEND_F_READY });
            w.made[0]?.choose([1]);
          },
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query, far),
          paths: { LOCAL: 1 },
          services: first(query),
          flows: flowPair({ table: 'any', proto: 'udp', from: client, to: service, backend: far }),
        }),
      ],
    },
    {
      does: `${v}: a UDP flow stays on a backend that is terminating but serves`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend, far] });
      },
      steps: [
        podSends({
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
        podSends({
          before: (w) => {
            w.made[0]?.backendState(0, { clear: BACKEND_F_READY });
            w.made[0]?.choose([1]);
          },
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: more(query),
        }),
      ],
    },
    {
      does: `${v}: a UDP flow stays where it is while nobody serves at all`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend] });
      },
      steps: [
        podSends({
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
        podSends({
          before: (w) => {
            w.made[0]?.backendState(0, { clear: BACKEND_F_SERVING | BACKEND_F_READY });
            w.made[0]?.choose([]);
          },
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: more(query),
        }),
      ],
    },
    {
      does: `${v}: a UDP flow without an answer is forgotten after 60 seconds`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend, far] });
      },
      steps: [
        podSends({
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
        podSends({
          before: (w) => {
            w.made[0]?.choose([1]);
            w.passTime(58);
          },
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: more(query),
        }),
        podSends({
          before: (w) => w.passTime(61),
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query, far),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
      ],
    },
    {
      does: `${v}: a UDP flow with an answer is kept for 120 seconds`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend, far] });
      },
      steps: [
        podSends({
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
        podGets({
          in: udp(backend, client, { payload: 'ok' }),
          verdict: 'TCX_NEXT',
          out: udp(service, client, { payload: 'ok' }),
          paths: { REPLY_EGRESS: 1 },
          services: true,
        }),
        podSends({
          before: (w) => {
            w.made[0]?.choose([1]);
            w.passTime(118);
          },
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: more(query),
        }),
        podSends({
          before: (w) => w.passTime(121),
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query, far),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
      ],
    },
    {
      does: `${v}: answers alone keep a UDP flow`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend, far] });
      },
      steps: [
        podSends({
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
        ...[0, 100, 100].map((seconds) =>
          podGets({
            before: (w) => w.passTime(seconds),
            in: udp(backend, client, { payload: 'stream' }),
            verdict: 'TCX_NEXT',
            out: udp(service, client, { payload: 'stream' }),
            paths: { REPLY_EGRESS: 1 },
            services: true,
          }),
        ),
        podSends({
          before: (w) => {
            w.made[0]?.choose([1]);
            w.passTime(100);
          },
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: more(query),
        }),
      ],
    },
    {
      does: `${v}: UDP that passed before the service existed finds its backend afterwards`,
      steps: [
        podSends({ in: query, verdict: 'TCX_NEXT', out: 'unchanged', flows: [] }),
        podSends({
          before: (w) => {
            w.service({ at: service, proto: 'udp', backends: [backend] });
          },
          in: query,
          verdict: 'TCX_NEXT',
          out: dnat(query),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
      ],
    },
    {
      does: `${v}: a slot that names a backend of another service is stale`,
      given: (w) => {
        const service1 = w.service({ at: service, backends: [backend] });
        service1.recycleBackend(0, far, 55);
      },
      steps: [
        podSends({
          in: syn,
          verdict: 'TC_ACT_SHOT',
          drops: { STALE: 1 },
          services: { 1: { dropped: 1 } },
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: a slot that names a dead backend is stale`,
      given: (w) => {
        w.service({ at: service, backends: [backend] }).backendState(0, { clear: BACKEND_F_ALIVE });
      },
      steps: [
        podSends({ in: syn, verdict: 'TC_ACT_SHOT', drops: { STALE: 1 }, services: { 1: { dropped: 1 } } }),
      ],
    },
    {
      does: `${v}: two services with one backend and one client port: the second gets another source port`,
      given: (w) => {
        w.service({ at: service, backends: [backend] });
        w.service({ at: b.at(b.vip2, 80), backends: [backend] });
      },
      steps: [
        podSends({
          in: syn,
          verdict: 'TCX_NEXT',
          out: dnat(syn),
          paths: { LOCAL: 1 },
          services: first(syn, 1),
        }),
        podSends({
          in: readdress(syn, { dst: b.at(b.vip2, 80) }),
          verdict: 'TCX_NEXT',
          out: readdress(syn, { src: b.at(b.pod1, 20000), dst: backend }),
          paths: { LOCAL: 1 },
          services: first(syn, 2),
          flows: [
            ...flowPair({ table: 'half_open', from: client, to: service, backend }),
            ...flowPair({
              table: 'half_open',
              from: client,
              to: b.at(b.vip2, 80),
              as: b.at(b.pod1, 20000),
              backend,
            }),
          ],
        }),
        podGets({
          in: tcp(backend, b.at(b.pod1, 20000), { flags: 'SA', seq: 5, ack: 1001 }),
          verdict: 'TCX_NEXT',
          out: tcp(b.at(b.vip2, 80), client, { flags: 'SA', seq: 5, ack: 1001 }),
          paths: { REPLY_EGRESS: 1 },
          services: true,
        }),
      ],
    },
    {
      does: `${v}: when that port is taken as well the packet is dropped and nothing is left behind`,
      given: (w) => {
        for (const at of [service, b.at(b.vip2, 80), b.at(b.vip2, 81)])
          w.service({ at, backends: [backend] });
      },
      steps: [
        podSends({ in: syn, verdict: 'TCX_NEXT', out: dnat(syn), paths: { LOCAL: 1 }, services: true }),
        podSends({
          in: readdress(syn, { dst: b.at(b.vip2, 80) }),
          verdict: 'TCX_NEXT',
          out: readdress(syn, { src: b.at(b.pod1, 20000), dst: backend }),
          paths: { LOCAL: 1 },
          services: true,
        }),
        podSends({
          in: readdress(syn, { dst: b.at(b.vip2, 81) }),
          verdict: 'TC_ACT_SHOT',
          drops: { TUPLE_TAKEN: 1 },
          services: { 3: { dropped: 1 } },
          flows: [
            ...flowPair({ table: 'half_open', from: client, to: service, backend }),
            ...flowPair({
              table: 'half_open',
              from: client,
              to: b.at(b.vip2, 80),
              as: b.at(b.pod1, 20000),
              backend,
            }),
          ],
        }),
      ],
    },
    {
      does: `${v}: a packet of many segments is translated as one`,
      given: (w) => {
        w.service({ at: service, maglev: true, backends: [backend] });
      },
      steps: [
        podSends({
          in: tcp(client, service, { flags: 'PA', seq: 1, ack: 2, payload: 'x'.repeat(2800) }),
          gsoSize: 1400,
          verdict: 'TCX_NEXT',
          out: tcp(client, backend, { flags: 'PA', seq: 1, ack: 2, payload: 'x'.repeat(2800) }),
          paths: { LOCAL: 1 },
          services: true,
        }),
      ],
    },
    {
      does: `${v}: Ethernet padding stays as it is and is not counted`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend] });
      },
      steps: [
        podSends({
          in: { ...query, trailer: hex('000102030405060708090a0b0c0d') },
          verdict: 'TCX_NEXT',
          out: { ...dnat(query), trailer: hex('000102030405060708090a0b0c0d') },
          paths: { LOCAL: 1 },
          services: first(query),
        }),
      ],
    },
    {
      does: `${v}: a payload of odd length keeps a right checksum`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend] });
      },
      steps: ['a', 'abc', 'abcdefg'].map((payload, i) => {
        const p = udp(client, service, { payload });
        return podSends({
          in: p,
          verdict: 'TCX_NEXT',
          out: dnat(p),
          paths: { LOCAL: 1 },
          services: i === 0 ? first(p) : more(p),
        });
      }),
    },
    {
      does: `${v}: a UDP checksum that becomes zero is sent as all ones`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend] });
      },
      steps: [zeroSum(b, backend, service)],
    },
  ];
}

/** A datagram whose sum between pod1 and the backend is zero. */
function zeroSum(b: Book, backend: string, service: string) {
  const client = b.at(b.pod1, 40000);
  for (let n = 0; n < 65536; n++) {
    const payload = Uint8Array.of(n >> 8, n & 255);
    // All ones in the field is only ever computed from a sum of zero.
    if (sumOf(udp(client, backend, { payload })) !== 0xffff) continue;
    const p = udp(client, service, { payload });
    return podSends({
      in: p,
      verdict: 'TCX_NEXT',
      out: readdress(p, { dst: backend }),
      paths: { LOCAL: 1 },
      services: first(p),
    });
  }
  throw new Error('no such payload');
}

const UDP_ONLY_V4 = (b: Book): Row[] => {
  const client = b.at(b.pod1, 40000);
  const service = b.at(b.vip, 53);
  const backend = b.at(b.pod2, 5353);
  const p = udp(client, service, { payload: 'query', checksum: 0 });
  return [
    {
      does: 'v4: UDP without a checksum stays without one',
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend] });
      },
      steps: [
        podSends({
          in: p,
          verdict: 'TCX_NEXT',
          out: readdress(p, { dst: backend }),
          paths: { LOCAL: 1 },
          services: first(p),
        }),
        podGets({
          in: udp(backend, client, { payload: 'answer', checksum: 0 }),
          verdict: 'TCX_NEXT',
          out: udp(service, client, { payload: 'answer', checksum: 0 }),
          paths: { REPLY_EGRESS: 1 },
          services: true,
        }),
      ],
    },
    {
      does: 'v4: IP options stay',
      given: (w) => {
        w.service({ at: service, proto: 'udp', backends: [backend] });
      },
      steps: [
        podSends({
          in: udp(client, service, { payload: 'query', ip: { options: hex('94040000 0101') } }),
          verdict: 'TCX_NEXT',
          out: udp(client, backend, { payload: 'query', ip: { options: hex('94040000 0101') } }),
          paths: { LOCAL: 1 },
          services: true,
        }),
      ],
    },
  ];
};

const EXTENSIONS_V6 = (b: Book): Row[] => {
  const client = b.at(b.pod1, 40000);
  const service = b.at(b.vip, 53);
  const backend = b.at(b.pod2, 5353);
  const chains: [string, NonNullable<Parameters<typeof udp>[2]>['ip']][] = [
    ['a hop-by-hop header', { extensions: [{ kind: 'hop-by-hop', options: hex('05020000') }] }],
    [
      'hop-by-hop, destination options and a used-up routing header',
      {
        extensions: [
          { kind: 'hop-by-hop' },
          { kind: 'destination', options: hex('0102030405060708090a0b0c') },
          { kind: 'routing', type: 4, segmentsLeft: 0, data: hex('00000000') },
        ],
      },
    ],
    ['an atomic fragment header', { extensions: [{ kind: 'fragment', id: 7, offset: 0, mf: false }] }],
  ];
  return chains.map(([what, ip]) => ({
    does: `v6: the transport header is found behind ${what}`,
    given: (w) => {
      w.service({ at: service, proto: 'udp', backends: [backend] });
    },
    steps: [
      podSends({
        in: udp(client, service, { payload: 'query', ...(ip ? { ip } : {}) }),
        verdict: 'TCX_NEXT',
        out: udp(client, backend, { payload: 'query', ...(ip ? { ip } : {}) }),
        paths: { LOCAL: 1 },
        services: true,
      }),
    ],
  }));
};

function sumOf(p: Packet): number {
  const { l4 } = decode(build(p));
  return l4?.kind === 'udp' ? (l4.checksum ?? 0) : 0;
}

packetTable('a pod and a service', [
  ...BOOKS.flatMap((b) => (['tcp', 'udp', 'sctp'] as const).flatMap((proto) => everyProtocol(b, proto))),
  ...BOOKS.flatMap(cases),
  ...BOOKS.filter((b) => b.family === 4).flatMap(UDP_ONLY_V4),
  ...BOOKS.filter((b) => b.family === 6).flatMap(EXTENSIONS_V6),
]);
