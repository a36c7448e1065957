import { DRAIN_HAND_OVER } from '../../src/abi/index.js';
import { BOOKS, type Book } from '../support/packet/addresses.js';
import { hop, icmpError, type Packet, readdress, tcp, udp } from '../support/packet/index.js';
import { DEVICES } from '../support/packet/netns.js';
import { answer, first, l3, more, via, viaNode2, wireGets, wireSends } from '../support/packet/steps.js';
import { flowPair, type Given, packetTable, type Row, type Step } from '../support/packet/table.js';

const PAST = 'RESTORE_INGRESS PAST_STACK EXTERNAL';

/** The first packet of a flow whose backend is on another node. */
const leaves = (p: Packet, o: Partial<Step> & { out: Packet }): Step =>
  wireSends({
    in: p,
    verdict: 'TC_ACT_REDIRECT',
    frame: viaNode2,
    paths: { REMOTE_TC: 1 },
    services: first(p),
    ...o,
    out: hop(o.out),
  });

function cases(b: Book): Row[] {
  const client = b.at(b.client, 40000);
  const entry = b.at(b.node, 30080);
  const here = b.at(b.pod1, 8080);
  const there = b.at(b.remote, 8080);
  const snat = b.at(b.node, 20000);
  const syn = tcp(client, entry, { flags: 'S', seq: 1000 });
  const query = udp(client, entry, { payload: 'query' });
  const v = `v${b.family}`;
  const nodePort = (backends: string[], o: { proto?: 'udp' | 'sctp'; local?: boolean } = {}) => ({
    at: b.nodePort(30080),
    backends,
    ...(o.proto ? { proto: o.proto } : {}),
    ...(o.local ? { externalPolicy: 'Local' as const } : {}),
  });
  const toThere = (p: Packet) => readdress(p, { src: snat, dst: there });
  /** What the backend says to the SNAT port goes to the second client. */
  const answersSecond = (p: Packet): Step =>
    wireSends({
      in: p,
      verdict: 'TC_ACT_REDIRECT',
      out: hop(readdress(p, { src: entry, dst: b.at(b.client2, 40000) })),
      paths: { REPLY_TC: 1 },
      services: answer(p),
    });
  const replyHere = tcp(here, client, { flags: 'SA', seq: 7000, ack: 1001 });
  const replyThere = tcp(there, snat, { flags: 'SA', seq: 7000, ack: 1001 });
  const local: Row[] = (['tcp', 'udp'] as const).flatMap((proto): Row[] => {
    const open = proto === 'tcp' ? syn : query;
    const reply = proto === 'tcp' ? replyHere : udp(here, client, { payload: 'answer' });
    const given: Given = (w) => {
      w.service(proto === 'tcp' ? nodePort([here]) : nodePort([here], { proto }));
    };
    const pair = {
      table: proto === 'tcp' ? 'half_open' : 'any',
      proto,
      from: client,
      to: entry,
      backend: here,
    } as const;
    const goesIn = wireSends({
      in: open,
      verdict: 'TCX_NEXT',
      out: readdress(open, { dst: here }),
      paths: { LOCAL: 1 },
      services: first(open),
      flows: flowPair({ ...pair, flags: 'EXTERNAL' }),
    });
    return [
      { does: `${proto} ${v}: a backend on this node gets the client's own address`, given, steps: [goesIn] },
      {
        does: `${proto} ${v}: the answer of a backend on this node is restored where it leaves`,
        given,
        steps: [
          goesIn,
          wireGets({
            in: reply,
            verdict: 'TCX_NEXT',
            out: readdress(reply, { src: entry }),
            paths: { REPLY_EGRESS: 1 },
            services: answer(reply),
            flows: flowPair({ ...pair, flags: 'EXTERNAL SEEN_REPLY' }),
          }),
        ],
      },
      {
        does: `${proto} ${v}: the answer may leave by another device than the question came in by`,
        given,
        steps: [
          goesIn,
          wireGets({
            on: 'uplink2',
            in: reply,
            verdict: 'TCX_NEXT',
            out: readdress(reply, { src: entry }),
            paths: { REPLY_EGRESS: 1 },
            services: answer(reply),
          }),
        ],
      },
    ];
  });
  const remote: Row[] = (['tcp', 'udp'] as const).flatMap((proto): Row[] => {
    const open = proto === 'tcp' ? syn : query;
    const reply = proto === 'tcp' ? replyThere : udp(there, snat, { payload: 'answer' });
    const given: Given = (w) => {
      w.service(proto === 'tcp' ? nodePort([there]) : nodePort([there], { proto }));
    };
    const pair = {
      table: proto === 'tcp' ? 'half_open' : 'any',
      proto,
      from: client,
      to: entry,
      as: snat,
      backend: there,
    } as const;
    const goesOut = leaves(open, { out: toThere(open), flows: flowPair({ ...pair, flags: PAST }) });
    const restored = hop(readdress(reply, { src: entry, dst: client }));
    return [
      {
        does: `${proto} ${v}: a backend on another node is sent to past the stack, from this node's address`,
        given,
        steps: [goesOut],
      },
      {
        does: `${proto} ${v}: its answer is restored where it arrives and sent on to the client`,
        given,
        steps: [
          goesOut,
          wireSends({
            in: reply,
            verdict: 'TC_ACT_REDIRECT',
            out: restored,
            paths: { REPLY_TC: 1 },
            services: answer(reply),
            flows: flowPair({ ...pair, flags: `${PAST} SEEN_REPLY` }),
          }),
          // The way to the client is known by now.
          wireSends({
            in: reply,
            verdict: 'TC_ACT_REDIRECT',
            out: restored,
            frame: via('uplink'),
            paths: { REPLY_TC: 1 },
            services: answer(reply),
          }),
        ],
      },
      {
        does: `${proto} ${v}: further packets of the flow take the same way and port`,
        given,
        steps: [
          goesOut,
          leaves(open, {
            out: toThere(open),
            services: more(open),
            flows: flowPair({ ...pair, flags: PAST }),
          }),
        ],
      },
    ];
  });
  return [
    ...local,
    ...remote,
    {
      does: `${v}: beyond the overlay the source is the overlay's own address`,
      given: (w) => {
        w.service(nodePort([b.at(b.overlay, 8080)]));
      },
      steps: [
        leaves(syn, {
          out: readdress(syn, { src: b.at(b.nodeOverlay, 20000), dst: b.at(b.overlay, 8080) }),
          frame: via('overlay'),
        }),
      ],
    },
    {
      does: `${v}: a device without an address sends from the Node's InternalIP`,
      given: (w) => {
        w.snatSources.delete({ ifindex: DEVICES.overlay.ifindex, family: b.family });
        w.service(nodePort([b.at(b.overlay, 8080)]));
      },
      steps: [
        leaves(syn, {
          out: readdress(syn, { src: snat, dst: b.at(b.overlay, 8080) }),
          frame: via('overlay'),
        }),
      ],
    },
    {
      does: `${v}: without any SNAT source the packet is dropped`,
      given: (w) => {
        w.snatSources.clear();
        w.service(nodePort([there]));
      },
      steps: [
        wireSends({
          in: syn,
          verdict: 'TC_ACT_SHOT',
          drops: { NO_SNAT_SOURCE: 1 },
          services: { 1: { dropped: 1 } },
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: a next hop whose neighbour is not known yet is left to the kernel to resolve`,
      given: (w) => {
        w.service(nodePort([b.at(b.unresolved, 8080)]));
      },
      steps: [
        leaves(syn, { out: readdress(syn, { src: snat, dst: b.at(b.unresolved, 8080) }), frame: 'same' }),
      ],
    },
    {
      does: `${v}: a backend without a route is dropped, and no flow is left`,
      given: (w) => {
        w.service(nodePort([b.at(b.nowhere, 8080)]));
      },
      steps: [
        wireSends({
          in: syn,
          verdict: 'TC_ACT_SHOT',
          drops: { NO_ROUTE: 1 },
          services: { 1: { dropped: 1 } },
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: a change of routes makes the next packet ask again for the way`,
      given: (w) => {
        w.service(nodePort([there]));
      },
      steps: [
        leaves(syn, { out: toThere(syn) }),
        leaves(syn, {
          before: (w) => w.configure({ fib_generation: 2n }),
          out: toThere(syn),
          frame: 'same',
          services: more(syn),
        }),
        leaves(syn, { out: toThere(syn), services: more(syn) }),
      ],
    },
    {
      does: `${v}: before the programs go, datagrams of flows past the stack go up`,
      given: (w) => {
        w.service(nodePort([there], { proto: 'udp' }));
      },
      steps: [
        leaves(query, { out: toThere(query) }),
        wireSends({
          before: (w) => w.configure({ drain: BigInt(DRAIN_HAND_OVER) }),
          in: query,
          verdict: 'TCX_NEXT',
          out: 'unchanged',
        }),
      ],
    },
    {
      does: `${v}: a next hop is trusted for a second at most`,
      given: (w) => {
        w.service(nodePort([there]));
      },
      steps: [
        leaves(syn, { out: toThere(syn) }),
        leaves(syn, {
          before: (w) => w.passTime(1.1),
          out: toThere(syn),
          frame: 'same',
          services: more(syn),
        }),
      ],
    },
    {
      does: `${v}: a hop past the stack counts: a packet with nothing left is dropped`,
      given: (w) => {
        w.service(nodePort([there]));
      },
      steps: [
        wireSends({
          in: hop(syn, -63),
          verdict: 'TC_ACT_SHOT',
          drops: { TTL: 1 },
          services: true,
        }),
      ],
    },
    {
      does: `${v}: with a hop left it goes out with one`,
      given: (w) => {
        w.service(nodePort([there]));
      },
      steps: [leaves(hop(syn, -62), { out: toThere(hop(syn, -62)) })],
    },
    ...tooBig(b),
    {
      does: `${v}: externalTrafficPolicy Local serves from this node, the client's address kept`,
      given: (w) => {
        w.service(nodePort([there, here], { local: true }));
      },
      steps: [
        wireSends({
          in: syn,
          verdict: 'TCX_NEXT',
          out: readdress(syn, { dst: here }),
          paths: { LOCAL: 1 },
          services: first(syn),
        }),
      ],
    },
    {
      does: `${v}: externalTrafficPolicy Local drops while backends are only elsewhere`,
      given: (w) => {
        w.service(nodePort([there], { local: true }));
      },
      steps: [
        wireSends({
          in: syn,
          verdict: 'TC_ACT_SHOT',
          drops: { NO_LOCAL_BACKEND: 1 },
          services: { 1: { dropped: 1 } },
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: a NodePort answers on every address of the node`,
      given: (w) => {
        w.service(nodePort([here]));
      },
      steps: [b.node, b.node2nd, b.nodeOverlay].map((node, i) => {
        const p = tcp(b.at(b.client, 40000 + i), b.at(node, 30080), { flags: 'S' });
        return wireSends({
          in: p,
          verdict: 'TCX_NEXT',
          out: readdress(p, { dst: here }),
          paths: { LOCAL: 1 },
          services: first(p),
        });
      }),
    },
    {
      does: `${v}: a NodePort never answers the wire on the loopback address`,
      given: (w) => {
        w.service(nodePort([here]));
      },
      steps: [
        wireSends({
          in: tcp(client, b.at(b.loopback, 30080), { flags: 'S' }),
          verdict: 'TCX_NEXT',
          out: 'unchanged',
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: a NodePort of one protocol leaves the others alone`,
      given: (w) => {
        w.service(nodePort([here]));
      },
      steps: [wireSends({ in: query, verdict: 'TCX_NEXT', out: 'unchanged', flows: [] })],
    },
    {
      does: `${v}: other ports of the node's address are none of our business`,
      given: (w) => {
        w.service(nodePort([here]));
      },
      steps: [
        wireSends({
          in: tcp(client, b.at(b.node, 22), { flags: 'S' }),
          verdict: 'TCX_NEXT',
          out: 'unchanged',
          flows: [],
        }),
      ],
    },
    ...(['LoadBalancer', 'ExternalIP'] as const).flatMap((type): Row[] => [
      {
        does: `${v}: ${type} reaches a backend on another node`,
        given: (w) => {
          w.service({ at: b.at(b.lb, 443), type, backends: [there] });
        },
        steps: [leaves(readdress(syn, { dst: b.at(b.lb, 443) }), { out: toThere(syn) })],
      },
      {
        does: `${v}: other ports of a ${type} address are none of our business`,
        given: (w) => {
          w.service({ at: b.at(b.lb, 443), type, backends: [there] });
        },
        steps: [
          wireSends({
            in: tcp(client, b.at(b.lb, 444), { flags: 'S' }),
            verdict: 'TCX_NEXT',
            out: 'unchanged',
            flows: [],
          }),
        ],
      },
    ]),
    {
      does: `${v}: a cluster IP that is routed to the node is served, from the node's address when elsewhere`,
      given: (w) => {
        w.service({ at: b.at(b.vip, 80), backends: [there] });
      },
      steps: [leaves(readdress(syn, { dst: b.at(b.vip, 80) }), { out: toThere(syn) })],
    },
    {
      does: `${v}: UDP to the NodePort of a removed service is nobody's`,
      given: (w) => {
        w.service(nodePort([here], { proto: 'udp' }));
      },
      steps: [
        wireSends({
          in: query,
          verdict: 'TCX_NEXT',
          out: readdress(query, { dst: here }),
          paths: { LOCAL: 1 },
          services: first(query),
        }),
        wireSends({
          before: (w) => w.made[0]?.remove(),
          in: query,
          verdict: 'TCX_NEXT',
          out: 'unchanged',
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: a second client finds the only SNAT port taken`,
      given: (w) => {
        w.service(nodePort([there]));
      },
      steps: [
        leaves(syn, { out: toThere(syn) }),
        wireSends({
          in: tcp(b.at(b.client2, 40000), entry, { flags: 'S' }),
          verdict: 'TC_ACT_SHOT',
          drops: { SNAT_PORTS: 1 },
          services: { 1: { dropped: 1 } },
          flows: flowPair({
            table: 'half_open',
            from: client,
            to: entry,
            as: snat,
            backend: there,
            flags: PAST,
          }),
        }),
      ],
    },
    {
      does: `${v}: one SNAT port serves two backends`,
      given: (w) => {
        w.service(nodePort([there]));
        w.service({ at: b.nodePort(30081), backends: [b.at(b.remote2, 8080)] });
      },
      steps: [
        leaves(syn, { out: toThere(syn) }),
        leaves(readdress(syn, { dst: b.at(b.node, 30081) }), {
          out: readdress(syn, { src: snat, dst: b.at(b.remote2, 8080) }),
          services: first(syn, 2),
        }),
      ],
    },
    {
      does: `${v}: the SNAT port of an expired flow is given out again`,
      given: (w) => {
        w.service(nodePort([there], { proto: 'udp' }));
      },
      steps: [
        leaves(query, { out: toThere(query) }),
        leaves(udp(b.at(b.client2, 40000), entry, { payload: 'query' }), {
          before: (w) => w.passTime(61),
          out: toThere(query),
        }),
      ],
    },
    {
      does: `${v}: a stream without answers keeps its port`,
      given: (w) => {
        w.service(nodePort([there], { proto: 'udp' }));
      },
      steps: [
        leaves(query, { out: toThere(query) }),
        leaves(query, {
          before: (w) => w.passTime(40),
          out: toThere(query),
          frame: 'same',
          services: more(query),
        }),
        wireSends({
          before: (w) => w.passTime(40),
          in: udp(b.at(b.client2, 40000), entry, { payload: 'query' }),
          verdict: 'TC_ACT_SHOT',
          drops: { SNAT_PORTS: 1 },
          services: { 1: { dropped: 1 } },
        }),
      ],
    },
    {
      does: `${v}: the first of the two does not take the port back`,
      given: (w) => {
        w.service(nodePort([there], { proto: 'udp' }));
      },
      steps: [
        leaves(query, { out: toThere(query) }),
        leaves(udp(b.at(b.client2, 40000), entry, { payload: 'query' }), {
          before: (w) => w.passTime(61),
          out: toThere(query),
        }),
        wireSends({
          in: query,
          verdict: 'TC_ACT_SHOT',
          drops: { SNAT_PORTS: 1 },
          services: { 1: { dropped: 1 } },
        }),
        answersSecond(udp(there, snat, { payload: 'answer' })),
      ],
    },
    {
      does: `${v}: nor does the first of two connections, of which it was reset`,
      given: (w) => {
        w.service(nodePort([there]));
      },
      steps: [
        leaves(syn, { out: toThere(syn) }),
        leaves(tcp(client, entry, { flags: 'R', seq: 1001 }), {
          out: toThere(tcp(client, entry, { flags: 'R', seq: 1001 })),
          services: true,
        }),
        leaves(tcp(b.at(b.client2, 40000), entry, { flags: 'S', seq: 1000 }), { out: toThere(syn) }),
        wireSends({
          in: syn,
          verdict: 'TC_ACT_SHOT',
          drops: { SNAT_PORTS: 1 },
          services: { 1: { dropped: 1 } },
        }),
        answersSecond(replyThere),
      ],
    },
    {
      does: `${v}: the SNAT port of a connection that was reset is given out again`,
      given: (w) => {
        w.service(nodePort([there]));
      },
      steps: [
        leaves(syn, { out: toThere(syn) }),
        leaves(tcp(client, entry, { flags: 'R', seq: 1001 }), {
          out: toThere(tcp(client, entry, { flags: 'R', seq: 1001 })),
          services: { 1: { packets: 1, bytes: l3(tcp(client, entry)) } },
        }),
        leaves(tcp(b.at(b.client2, 40000), entry, { flags: 'S', seq: 1000 }), { out: toThere(syn) }),
      ],
    },
  ];
}

function tooBig(b: Book): Row[] {
  const v = `v${b.family}`;
  const client = b.at(b.client, 40000);
  const entry = b.at(b.node, 30080);
  const snat = b.at(b.node, 20000);
  const narrow = b.at(b.narrow, 8080);
  const full = udp(client, entry, { payload: 'x'.repeat(1440) });
  const given: Given = (w) => {
    w.service({ at: b.nodePort(30080), proto: 'udp', backends: [narrow] });
    w.service({ at: b.nodePort(30080), maglev: true, backends: [narrow] });
  };
  const rows: Row[] = [
    {
      does: `${v}: a packet too big for the way out is answered about the packet that the client sent`,
      given,
      steps: [
        wireSends({
          in: full,
          verdict: 'TC_ACT_REDIRECT',
          out: icmpError('too-big', b.node, b.client, full, {
            rest: 1400,
            quotedBytes: 128,
            ip: b.family === 4 ? { id: 0 } : {},
          }),
          frame: 'swapped',
          paths: { REFUSED: 1 },
          services: true,
        }),
      ],
    },
    {
      does: `${v}: a packet of segments that fit is not too big`,
      given,
      steps: [
        leaves(tcp(client, entry, { flags: 'S' }), {
          out: tcp(snat, narrow, { flags: 'S' }),
          services: true,
        }),
        leaves(tcp(client, entry, { flags: 'PA', payload: 'x'.repeat(2400) }), {
          gsoSize: 1200,
          out: tcp(snat, narrow, { flags: 'PA', payload: 'x'.repeat(2400) }),
          services: true,
        }),
      ],
    },
    {
      does: `${v}: a packet of segments that do not fit is too big`,
      given,
      steps: [
        leaves(tcp(client, entry, { flags: 'S' }), {
          out: tcp(snat, narrow, { flags: 'S' }),
          services: true,
        }),
        wireSends({
          in: tcp(client, entry, { flags: 'PA', payload: 'x'.repeat(2800) }),
          gsoSize: 1400,
          verdict: 'TC_ACT_REDIRECT',
          out: icmpError(
            'too-big',
            b.node,
            b.client,
            tcp(client, entry, { flags: 'PA', payload: 'x'.repeat(2800) }),
            {
              rest: 1400,
              quotedBytes: 128,
              ip: b.family === 4 ? { id: 0 } : {},
            },
          ),
          frame: 'swapped',
          paths: { REFUSED: 1 },
          services: true,
        }),
      ],
    },
  ];
  if (b.family === 4) {
    const loose = udp(client, entry, { payload: 'x'.repeat(1440), ip: { df: false } });
    rows.push({
      // Nobody fragments past the stack; Linux senders take the error as well without DF.
      does: 'v4: one that may be fragmented is answered in the same way',
      given,
      steps: [
        wireSends({
          in: loose,
          verdict: 'TC_ACT_REDIRECT',
          out: icmpError('too-big', b.node, b.client, loose, { rest: 1400, quotedBytes: 128, ip: { id: 0 } }),
          frame: 'swapped',
          paths: { REFUSED: 1 },
          services: true,
        }),
      ],
    });
  }
  return rows;
}

packetTable('outside and a node', BOOKS.flatMap(cases));

packetTable(
  'SNAT ports',
  BOOKS.flatMap((b): Row[] => {
    const there = b.at(b.remote, 8080);
    const entry = b.at(b.node, 30080);
    const clients = [b.client, b.client2, b.client, b.client2].map((ip, i) => b.at(ip, 40000 + i));
    return [
      {
        does: `v${b.family}: four clients share four ports, a fifth is dropped`,
        given: (w) => {
          w.service({ at: b.nodePort(30080), backends: [there] });
        },
        steps: [
          ...clients.map((from, i): Step => {
            const p = tcp(from, entry, { flags: 'S' });
            return {
              ...wireSends({
                in: p,
                verdict: 'TC_ACT_REDIRECT',
                out: p,
                paths: { REMOTE_TC: 1 },
                services: first(p),
              }),
              anyOut: true,
              after: (w) => {
                const ports = w
                  .flows()
                  .filter((line) => line.startsWith('half_open original'))
                  .map((line) => Number(/= \S+:(\d+) >/.exec(line)?.[1]));
                if (new Set(ports).size !== i + 1) throw new Error(`ports ${ports} are not all different`);
                if (ports.some((n) => n < 20000 || n > 20003))
                  throw new Error(`ports ${ports} leave the range`);
              },
            };
          }),
          wireSends({
            in: tcp(b.at(b.client, 50000), entry, { flags: 'S' }),
            verdict: 'TC_ACT_SHOT',
            drops: { SNAT_PORTS: 1 },
            services: { 1: { dropped: 1 } },
          }),
        ],
      },
    ];
  }),
  { snat_port_min: 20000, snat_port_max: 20003 },
);
