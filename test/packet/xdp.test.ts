import { BOOKS, type Book } from '../support/packet/addresses.js';
import { fragment, hex, hop, type Packet, readdress, sctp, tcp, udp } from '../support/packet/index.js';
import { answer, first, more, via, viaNode2, wireSends, xdpGets } from '../support/packet/steps.js';
import { flowPair, frameOn, type Given, packetTable, type Row, type Step } from '../support/packet/table.js';

const PAST = 'RESTORE_INGRESS PAST_STACK EXTERNAL';

function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  const client = b.at(b.client, 40000);
  const entry = b.at(b.node, 30080);
  const there = b.at(b.remote, 8080);
  const here = b.at(b.pod1, 8080);
  const snat = b.at(b.node, 20000);
  const syn = tcp(client, entry, { flags: 'S', seq: 1000 });
  const query = udp(client, entry, { payload: 'query' });
  const given =
    (...backends: string[]): Given =>
    (w) => {
      w.service({ at: b.nodePort(30080), backends });
      w.service({ at: b.nodePort(30080), proto: 'udp', backends });
      w.service({ at: b.nodePort(30080), proto: 'sctp', backends });
    };
  const sent = (p: Packet, o: Partial<Step> = {}): Step =>
    xdpGets({
      in: p,
      verdict: 'XDP_TX',
      out: hop(readdress(p, { src: snat, dst: there })),
      frame: viaNode2,
      paths: { REMOTE_XDP: 1 },
      services: true,
      ...o,
    });
  const returned = (p: Packet, o: Partial<Step> = {}): Step =>
    xdpGets({
      in: p,
      verdict: 'XDP_TX',
      out: hop(readdress(p, { src: entry, dst: client })),
      frame: via('uplink'),
      paths: { REPLY_XDP: 1 },
      services: true,
      ...o,
    });
  /** Goes up as it came, and nothing is left behind. */
  const left = (p: Packet, o: Partial<Step> = {}): Step =>
    xdpGets({ in: p, verdict: 'XDP_PASS', out: 'unchanged', flows: [], ...o });
  const leaves = (does: string, set: Given, p: Packet, o: Partial<Step> = {}): Row => ({
    does: `${v}: ${does}`,
    given: set,
    steps: [left(p, o)],
  });
  const both = (['tcp', 'udp'] as const).flatMap((proto): Row[] => {
    const open = proto === 'tcp' ? syn : query;
    const reply =
      proto === 'tcp'
        ? tcp(there, snat, { flags: 'SA', seq: 7000, ack: 1001 })
        : udp(there, snat, { payload: 'answer' });
    const id = proto === 'tcp' ? 1 : 2;
    const pair = {
      table: proto === 'tcp' ? 'half_open' : 'any',
      proto,
      from: client,
      to: entry,
      as: snat,
      backend: there,
    } as const;
    const flags = `${PAST} VIA_XDP`;
    const name = `${proto} ${v}`;
    return [
      {
        does: `${name}: XDP sends to a backend on another node by itself`,
        given: given(there),
        steps: [sent(open, { services: first(open, id), flows: flowPair({ ...pair, flags }) })],
      },
      {
        does: `${name}: XDP restores the answer and sends it to the client`,
        given: given(there),
        steps: [
          sent(open),
          returned(reply, {
            services: answer(reply, id),
            flows: flowPair({ ...pair, flags: `${PAST} SEEN_REPLY VIA_XDP` }),
          }),
          returned(reply, { services: answer(reply, id) }),
        ],
      },
      {
        does: `${name}: further packets of the flow go the same way`,
        given: given(there),
        steps: [sent(open), sent(open, { services: more(open, id) })],
      },
      {
        does: `${name}: a flow that tc began is continued by XDP`,
        given: given(there),
        steps: [
          wireSends({
            in: open,
            verdict: 'TC_ACT_REDIRECT',
            out: hop(readdress(open, { src: snat, dst: there })),
            frame: viaNode2,
            paths: { REMOTE_TC: 1 },
            services: true,
          }),
          sent(open, { flows: flowPair({ ...pair, flags: PAST }) }),
          returned(reply),
        ],
      },
      {
        does: `${name}: a flow that XDP began is continued by tc`,
        given: given(there),
        steps: [
          sent(open),
          wireSends({
            in: reply,
            verdict: 'TC_ACT_REDIRECT',
            out: hop(readdress(reply, { src: entry, dst: client })),
            paths: { REPLY_TC: 1 },
            services: answer(reply, id),
          }),
        ],
      },
      {
        does: `${name}: a way by another device is taken when that device transmits XDP frames`,
        given: (w) => {
          given(b.at(b.overlay, 8080))(w);
          w.xdpDevice('overlay');
        },
        steps: [
          sent(open, {
            verdict: 'XDP_REDIRECT',
            out: hop(readdress(open, { src: b.at(b.nodeOverlay, 20000), dst: b.at(b.overlay, 8080) })),
            frame: via('overlay'),
          }),
        ],
      },
      leaves(`${name}: a way by a device that does not is left to tc`, given(b.at(b.overlay, 8080)), open),
      leaves(`${name}: a backend on this node is left to tc`, given(here), open),
      {
        does: `${name}: an established way of tc through the stack is left to tc`,
        given: given(here),
        steps: [
          wireSends({
            in: open,
            verdict: 'TCX_NEXT',
            out: readdress(open, { dst: here }),
            paths: { LOCAL: 1 },
            services: true,
          }),
          xdpGets({ in: open, verdict: 'XDP_PASS', out: 'unchanged' }),
        ],
      },
      leaves(`${name}: a next hop without a neighbour is left to tc`, given(b.at(b.unresolved, 8080)), open),
      leaves(`${name}: a backend without a route is left to tc`, given(b.at(b.nowhere, 8080)), open),
      leaves(`${name}: a refusal is left to tc`, given(), open),
      leaves(`${name}: a packet with no hop left is left to tc`, given(there), hop(open, -63)),
      leaves(
        `${name}: a drop by Local policy is left to tc`,
        (w) => {
          w.service({ at: b.nodePort(30080), proto, externalPolicy: 'Local', backends: [there] });
        },
        open,
      ),
      leaves(
        `${name}: a client outside the source ranges is left to tc`,
        (w) => {
          w.service({
            at: b.at(b.lb, 80),
            type: 'LoadBalancer',
            proto,
            ranges: [b.clientRange],
            backends: [there],
          });
        },
        readdress(open, { src: b.at(b.client2, 40000), dst: b.at(b.lb, 80) }),
      ),
      leaves(
        `${name}: the loopback address is left to tc`,
        given(there),
        readdress(open, { dst: b.at(b.loopback, 30080) }),
      ),
    ];
  });
  const wide = (n: number) => udp(client, entry, { payload: 'x'.repeat(n) });
  const shape = (ip: NonNullable<Parameters<typeof udp>[2]>['ip']) =>
    udp(client, entry, { payload: 'query', ...(ip ? { ip } : {}) });
  const rows: Row[] = [
    ...both,
    {
      does: `${v}: the handshake through XDP establishes the connection`,
      given: given(there),
      steps: [
        sent(syn),
        returned(tcp(there, snat, { flags: 'SA', seq: 7000, ack: 1001 })),
        sent(tcp(client, entry, { flags: 'A', seq: 1001, ack: 7001 }), {
          flows: flowPair({
            table: 'flows',
            from: client,
            to: entry,
            as: snat,
            backend: there,
            flags: `${PAST} SEEN_REPLY ESTABLISHED VIA_XDP`,
          }),
        }),
        sent(tcp(client, entry, { flags: 'PA', seq: 1001, ack: 7001, payload: 'question' })),
        returned(tcp(there, snat, { flags: 'PA', seq: 7001, ack: 1009, payload: 'answer' })),
      ],
    },
    leaves(
      'data of an unknown connection is left to tc',
      given(there),
      tcp(client, entry, { flags: 'PA', payload: 'x' }),
    ),
    leaves('SCTP is left to tc', given(there), sctp(client, entry, { tag: 0, payload: hex('01000004') })),
    leaves('a packet too big for the way out is left to tc', given(b.at(b.narrow, 80)), wide(1440)),
    leaves('a first fragment is left to tc', given(there), fragment(wide(100), 48)[0] as Packet),
    leaves('a later fragment is left to tc', given(there), fragment(wide(100), 48)[1] as Packet),
    leaves('another port of the node passes', given(there), tcp(client, b.at(b.node, 22), { flags: 'S' })),
    leaves("an address that is nobody's passes", given(there), tcp(client, b.at(b.pod1, 80), { flags: 'S' })),
    {
      does: `${v}: a flow whose next hop is lost is left to tc and counted as such`,
      given: given(there),
      steps: [
        sent(syn),
        xdpGets({
          in: hop(syn, -63),
          verdict: 'XDP_PASS',
          out: 'unchanged',
          paths: { XDP_TO_STACK: 1 },
        }),
      ],
    },
    {
      does: `${v}: a first connection that XDP leaves to tc is no affinity hit`,
      given: (w) => {
        w.service({ at: b.nodePort(30080), affinity: 30, backends: [here] });
      },
      steps: [
        left(syn),
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
      does: `${v}: a change of routes is noticed, and the way found anew`,
      given: given(there),
      steps: [sent(syn), sent(syn, { before: (w) => w.configure({ fib_generation: 2n }) })],
    },
    {
      does: `${v}: a SYN on a flow that is over is left to tc, which begins a new one`,
      given: given(there),
      steps: [
        sent(syn),
        sent(tcp(client, entry, { flags: 'R', seq: 1001 })),
        xdpGets({ in: syn, verdict: 'XDP_PASS', out: 'unchanged', paths: { XDP_TO_STACK: 1 } }),
        wireSends({
          in: syn,
          verdict: 'TC_ACT_REDIRECT',
          out: hop(readdress(syn, { src: snat, dst: there })),
          frame: viaNode2,
          paths: { REMOTE_TC: 1 },
          services: first(syn),
        }),
      ],
    },
    {
      does: `${v}: payloads of odd length and full frames keep right checksums`,
      given: given(there),
      steps: [1, 3, 99, 1000, 1451].map((n) => sent(wide(n))),
    },
  ];
  if (b.family === 4) {
    const bare = udp(client, entry, { payload: 'query', checksum: 0 });
    rows.push(
      { does: 'v4: UDP without a checksum stays without one', given: given(there), steps: [sent(bare)] },
      leaves('IP options are left to tc', given(there), shape({ options: hex('94040000') })),
    );
  } else {
    rows.push(
      leaves(
        'extension headers are left to tc',
        given(there),
        shape({ extensions: [{ kind: 'destination' }] }),
      ),
    );
  }
  return rows;
}

packetTable('XDP', BOOKS.flatMap(cases));

// With the choice that production makes: whatever XDP leaves, tc must decide in the same way.
packetTable(
  'XDP and tc choose alike',
  BOOKS.map((b): Row => {
    const backends = [b.at(b.pod1, 8080), b.at(b.pod2, 8080), b.at(b.remote, 8080)];
    let toTc = 0;
    return {
      does: `v${b.family}: of 60 connections each is finished by XDP or goes to a local backend by tc`,
      given: (w) => {
        w.service({ at: b.nodePort(30080), backends });
      },
      steps: Array.from({ length: 60 }, (_, i): Step => {
        const p = tcp(b.at(b.client, 40000 + i), b.at(b.node, 30080), { flags: 'S', seq: i * 7919 });
        return {
          ...wireSends({ in: p, verdict: 'TCX_NEXT', out: p, services: true }),
          skipWhen: (w) => {
            const frame = w.run('xdp_uplink', frameOn(p, 'uplink'), 'uplink');
            return frame.verdict === 'XDP_TX';
          },
          anyOut: true,
          paths: { LOCAL: 1 },
          after: () => {
            toTc++;
            if (i === 59 && (toTc < 20 || toTc > 55)) throw new Error(`${toTc} of 60 went to tc`);
          },
        };
      }),
    };
  }),
  { flags: 0, snat_port_max: 29999 },
);
