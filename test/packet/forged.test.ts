import { BOOKS, type Book } from '../support/packet/addresses.js';
import { fragment, hop, type Packet, readdress, tcp, udp } from '../support/packet/index.js';
import { DEVICES } from '../support/packet/netns.js';
import { first, nodeSends, podSends, viaNode2, wireSends, xdpGets } from '../support/packet/steps.js';
import { type Given, packetTable, type Row, type Step } from '../support/packet/table.js';

const MARTIANS = {
  4: ['0.0.0.0', '0.1.2.3', '127.0.0.1', '192.0.2.10', '224.0.0.5', '240.0.0.1', '255.255.255.255'],
  6: ['::', '::1', '2001:db8:2::10', 'ff02::1'],
};

/** What comes from where it cannot come from, and what claims to be another's (SEMANTICS 6, ARCHITECTURE 1). */
function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  const client = b.at(b.client, 40000);
  const pod = b.at(b.pod1, 40000);
  const entry = b.at(b.node, 30080);
  const vip = b.at(b.vip, 80);
  const there = b.at(b.remote, 8080);
  const here = b.at(b.pod2, 8080);
  const snat = b.at(b.node, 20000);
  const nodePort: Given = (w) => {
    w.service({ at: b.nodePort(30080), proto: 'udp', backends: [there] });
  };
  const clusterIp =
    (proto: 'tcp' | 'udp', ...backends: string[]): Given =>
    (w) => {
      w.service({ at: vip, proto, backends });
    };
  const query = udp(client, entry, { payload: 'query' });
  const question = udp(pod, vip, { payload: 'query' });
  const untouched = (
    send: (o: Omit<Step, 'program' | 'on'>) => Step,
    p: Packet,
    o: Partial<Step> = {},
  ): Step => send({ in: p, verdict: 'TCX_NEXT', out: 'unchanged', ...o });
  const sent = (o: Partial<Step> = {}): Step =>
    wireSends({
      in: query,
      verdict: 'TC_ACT_REDIRECT',
      out: hop(readdress(query, { src: snat, dst: there })),
      frame: viaNode2,
      paths: { REMOTE_TC: 1 },
      services: true,
      ...o,
    });
  const asks = (o: Partial<Step> = {}): Step =>
    podSends({
      in: question,
      verdict: 'TCX_NEXT',
      out: readdress(question, { dst: here }),
      paths: { LOCAL: 1 },
      services: true,
      ...o,
    });
  const shifted = (p: Packet): Packet => readdress(p, { dst: there });
  return [
    ...MARTIANS[b.family].flatMap((source): Row[] => {
      const p = udp(b.at(source, 40000), entry, { payload: 'query' });
      return [
        {
          does: `${v}: ${source} on the wire is left to the stack, which drops it`,
          given: nodePort,
          steps: [
            untouched(wireSends, p, { flows: [] }),
            xdpGets({ in: p, verdict: 'XDP_PASS', out: 'unchanged', flows: [] }),
          ],
        },
      ];
    }),
    {
      does: `${v}: XDP leaves a frame for another host alone, as tc does`,
      given: nodePort,
      steps: ['02:00:00:00:00:99', 'ff:ff:ff:ff:ff:ff'].map((dst) =>
        xdpGets({
          in: udp(client, entry, { payload: 'query', eth: { dst, src: DEVICES.uplink.peerMac } }),
          verdict: 'XDP_PASS',
          out: 'unchanged',
          flows: [],
        }),
      ),
    },
    {
      does: `${v}: a pod of this node cannot answer for a backend elsewhere`,
      given: nodePort,
      steps: [sent(), untouched(podSends, udp(there, snat, { payload: 'forged' }))],
    },
    {
      does: `${v}: another pod's datagram with a client's tuple does not take the flow away`,
      given: clusterIp('udp', here),
      steps: [asks(), untouched(podSends, question, { on: 'pod2' } as Partial<Step>), asks()],
    },
    {
      does: `${v}: a forged SYN in the middle of a handshake does not take the flow away`,
      given: clusterIp('tcp', here),
      steps: [
        podSends({
          in: tcp(pod, vip, { flags: 'S', seq: 1000 }),
          verdict: 'TCX_NEXT',
          out: tcp(pod, here, { flags: 'S', seq: 1000 }),
          paths: { LOCAL: 1 },
          services: true,
        }),
        untouched(wireSends, tcp(pod, vip, { flags: 'S', seq: 5 })),
        podSends({
          in: tcp(pod, vip, { flags: 'S', seq: 1000 }),
          verdict: 'TCX_NEXT',
          out: tcp(pod, here, { flags: 'S', seq: 1000 }),
          paths: { LOCAL: 1 },
          services: true,
        }),
      ],
    },
    {
      does: `${v}: a new pod with the address and port of one that is gone begins anew`,
      given: clusterIp('udp', here),
      steps: [
        asks(),
        asks({
          on: 'pod2',
          before: (w) => w.devices.delete(DEVICES.pod1.ifindex),
          services: first(question),
        }),
      ],
    },
    {
      does: `${v}: two SYNs, to a Service and straight to its backend, make no established pair`,
      given: clusterIp('tcp', there),
      steps: [
        podSends({
          in: tcp(pod, vip, { flags: 'S', seq: 1000 }),
          verdict: 'TCX_NEXT',
          out: shifted(tcp(pod, vip, { flags: 'S', seq: 1000 })),
          paths: { LOCAL: 1 },
          services: true,
        }),
        podSends({
          in: tcp(pod, there, { flags: 'S', seq: 9000 }),
          verdict: 'TC_ACT_SHOT',
          drops: { TUPLE_TAKEN: 1 },
          services: true,
          after: (w) => {
            if (w.ct.flows.entries().length > 0) throw new Error('there is an established entry');
          },
        }),
      ],
    },
    {
      does: `${v}: a client whose reply half was evicted and given away gets another port`,
      given: nodePort,
      steps: [
        sent(),
        {
          ...sent(),
          in: udp(b.at(b.client2, 40000), entry, { payload: 'other' }),
          out: hop(udp(snat, there, { payload: 'other' })),
          before: (w) => {
            for (const [k] of w.ct.any.entries()) if (k.dir === 1) w.ct.any.delete(k);
          },
        },
        // The only port of these tests is taken: better a drop than another client's answers.
        wireSends({ in: query, verdict: 'TC_ACT_SHOT', drops: { SNAT_PORTS: 1 }, services: true }),
      ],
    },
    {
      does: `${v}: later fragments of a datagram to a port that no Service has are not ours either`,
      given: (w) => {
        w.service({ at: b.at(b.lb, 53), proto: 'udp', type: 'LoadBalancer', backends: [here] });
      },
      steps: fragment(udp(pod, b.at(b.lb, 5000), { payload: 'x'.repeat(2000) }), 1400).map((part) =>
        untouched(podSends, part, { flows: [] }),
      ),
    },
  ];
}

packetTable('what is not what it says', BOOKS.flatMap(cases));

const mapped = tcp('[::ffff:10.244.1.11]:40000', '[::ffff:10.96.0.10]:80', { flags: 'S' });
packetTable('IPv4-mapped addresses in IPv6 packets', [
  {
    does: 'are no IPv4 addresses',
    given: (w) => {
      w.service({ at: '10.96.0.10:80', backends: ['10.244.1.12:8080'] });
    },
    steps: [podSends({ in: mapped, verdict: 'TCX_NEXT', out: 'unchanged', flows: [] })],
  },
]);

const [v4] = BOOKS as [Book];
packetTable(
  'the node as client of a Service that it also serves',
  [
    {
      does: 'never is sent to its own address, whatever port it asks from',
      given: (w) => {
        w.service({
          at: v4.at(v4.vip, 80),
          proto: 'udp',
          backends: [v4.at(v4.node, 8080), v4.at(v4.remote, 8080)],
        });
      },
      steps: Array.from({ length: 200 }, (_, i): Step => {
        const p = udp(v4.at(v4.node, 30000 + i), v4.at(v4.vip, 80), { payload: 'query' });
        return nodeSends({
          in: p,
          verdict: 'TC_ACT_REDIRECT',
          out: readdress(p, { dst: v4.at(v4.remote, 8080) }),
          paths: { NODE_EGRESS: 1 },
          services: true,
        });
      }),
    },
  ],
  { flags: 0, hash_seed: 1 },
);
