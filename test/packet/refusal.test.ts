import { BOOKS, type Book } from '../support/packet/addresses.js';
import { hex, icmpError, type Packet, sctp, tcp, udp } from '../support/packet/index.js';
import { nodeSends, podSends, wireSends } from '../support/packet/steps.js';
import { type Given, packetTable, type Row, type Step } from '../support/packet/table.js';

const REFUSED: Partial<Step> = { paths: { REFUSED: 1 }, frame: 'swapped', flows: [] };

function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  const pod = b.at(b.pod1, 40000);
  const outside = b.at(b.client, 40000);
  const service = b.at(b.vip, 80);
  const entry = b.at(b.node, 30080);
  // The refusals' IP headers: identification 0, may not be fragmented.
  const ip = b.family === 4 ? { id: 0 } : {};
  const rst = (from: string, to: string, o: Parameters<typeof tcp>[2]): Packet =>
    tcp(from, to, { window: 0, ip, ...o });
  const unreachable = (about: Packet, from: string, to: string): Packet =>
    icmpError('port-unreachable', from, to, about, { quotedBytes: 128, ip });
  const none: Given = (w) => {
    for (const proto of ['tcp', 'udp', 'sctp'] as const) w.service({ at: service, proto });
  };
  const noNodePort: Given = (w) => {
    for (const proto of ['tcp', 'udp', 'sctp'] as const) w.service({ at: b.nodePort(30080), proto });
  };
  const refused = (step: typeof podSends, p: Packet, out: Packet, id: number): Step =>
    step({ in: p, verdict: 'TC_ACT_REDIRECT', out, ...REFUSED, services: { [id]: { refused: 1 } } });

  const syn = (from: string, to: string) => tcp(from, to, { flags: 'S', seq: 0xfffffff0 });
  const query = (from: string, to: string, payload = 'query') => udp(from, to, { payload });
  const init = (from: string, to: string) => sctp(from, to, { tag: 0, payload: hex('0100000401020304') });

  const segments: [string, Parameters<typeof tcp>[2], Parameters<typeof tcp>[2]][] = [
    ['a SYN', { flags: 'S', seq: 1000 }, { flags: 'RA', seq: 0, ack: 1001 }],
    ['a SYN with options', { flags: 'S', seq: 7, options: hex('020405b4') }, { flags: 'RA', ack: 8 }],
    ['a SYN at the end of the number space', { flags: 'S', seq: 0xffffffff }, { flags: 'RA', ack: 0 }],
    ['a SYN with data', { flags: 'S', seq: 5, payload: 'hello' }, { flags: 'RA', ack: 11 }],
    ['an acknowledgement', { flags: 'A', seq: 5, ack: 99 }, { flags: 'R', seq: 99 }],
    ['data', { flags: 'PA', seq: 5, ack: 99, payload: 'x'.repeat(500) }, { flags: 'R', seq: 99 }],
    ['a FIN', { flags: 'FA', seq: 5, ack: 99 }, { flags: 'R', seq: 99 }],
    ['a FIN without acknowledgement', { flags: 'F', seq: 5 }, { flags: 'RA', ack: 6 }],
  ];
  return [
    ...segments.map(
      ([what, sent, back]): Row => ({
        does: `${v}: ${what} to a service without backends is answered with the reset of RFC 9293`,
        given: none,
        steps: [refused(podSends, tcp(pod, service, sent), rst(service, pod, back), 1)],
      }),
    ),
    {
      does: `${v}: a reset to a service without backends is never answered`,
      given: none,
      steps: [
        podSends({
          in: tcp(pod, service, { flags: 'R', seq: 5 }),
          verdict: 'TC_ACT_SHOT',
          drops: { REFUSAL_FAILED: 1 },
          services: { 1: { dropped: 1 } },
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: UDP to a service without backends gets port unreachable with the whole datagram`,
      given: none,
      steps: [refused(podSends, query(pod, service), unreachable(query(pod, service), b.vip, b.pod1), 2)],
    },
    ...['', 'a', 'abc', 'x'.repeat(99), 'x'.repeat(100), 'x'.repeat(101), 'x'.repeat(1000)].map(
      (payload): Row => ({
        does: `${v}: port unreachable quotes at most 128 bytes, of ${payload.length} bytes of payload`,
        given: none,
        steps: [
          refused(
            podSends,
            query(pod, service, payload),
            unreachable(query(pod, service, payload), b.vip, b.pod1),
            2,
          ),
        ],
      }),
    ),
    {
      does: `${v}: SCTP to a service without backends gets port unreachable`,
      given: none,
      steps: [refused(podSends, init(pod, service), unreachable(init(pod, service), b.vip, b.pod1), 3)],
    },
    {
      does: `${v}: a NodePort without backends refuses TCP from outside`,
      given: noNodePort,
      steps: [
        refused(wireSends, syn(outside, entry), rst(entry, outside, { flags: 'RA', ack: 0xfffffff1 }), 1),
      ],
    },
    {
      does: `${v}: a NodePort without backends refuses UDP from outside`,
      given: noNodePort,
      steps: [
        refused(wireSends, query(outside, entry), unreachable(query(outside, entry), b.node, b.client), 2),
      ],
    },
    {
      does: `${v}: a load-balancer IP without backends refuses`,
      given: (w) => {
        w.service({ at: b.at(b.lb, 80), type: 'LoadBalancer' });
      },
      steps: [
        refused(
          wireSends,
          syn(outside, b.at(b.lb, 80)),
          rst(b.at(b.lb, 80), outside, { flags: 'RA', ack: 0xfffffff1 }),
          1,
        ),
      ],
    },
    {
      does: `${v}: a port of a cluster IP that no service has is refused`,
      given: (w) => {
        w.service({ at: service, backends: [b.at(b.pod2, 8080)] });
      },
      steps: [
        podSends({
          in: syn(pod, b.at(b.vip, 81)),
          verdict: 'TC_ACT_REDIRECT',
          out: rst(b.at(b.vip, 81), pod, { flags: 'RA', ack: 0xfffffff1 }),
          ...REFUSED,
          services: {},
        }),
        podSends({
          in: query(pod, service),
          verdict: 'TC_ACT_REDIRECT',
          out: unreachable(query(pod, service), b.vip, b.pod1),
          ...REFUSED,
          services: {},
        }),
      ],
    },
    {
      does: `${v}: a socket of this node is refused too`,
      given: none,
      steps: [
        refused(
          nodeSends,
          syn(b.at(b.node, 40000), service),
          rst(service, b.at(b.node, 40000), { flags: 'RA', ack: 0xfffffff1 }),
          1,
        ),
      ],
    },
    {
      does: `${v}: a service that gets a backend refuses no longer`,
      given: none,
      steps: [
        refused(podSends, syn(pod, service), rst(service, pod, { flags: 'RA', ack: 0xfffffff1 }), 1),
        podSends({
          before: (w) => {
            w.service({ at: service, backends: [b.at(b.pod2, 8080)] });
          },
          in: syn(pod, service),
          verdict: 'TCX_NEXT',
          out: syn(pod, b.at(b.pod2, 8080)),
          paths: { LOCAL: 1 },
          services: true,
        }),
      ],
    },
    {
      does: `${v}: data of a connection that nobody knows is reset`,
      given: (w) => {
        w.service({ at: service, backends: [b.at(b.pod2, 8080)] });
      },
      steps: [
        refused(
          podSends,
          tcp(pod, service, { flags: 'PA', seq: 5, ack: 99, payload: 'x' }),
          rst(service, pod, { flags: 'R', seq: 99 }),
          1,
        ),
      ],
    },
    {
      does: `${v}: a SYN-ACK out of nowhere is reset`,
      given: (w) => {
        w.service({ at: service, backends: [b.at(b.pod2, 8080)] });
      },
      steps: [
        refused(
          podSends,
          tcp(pod, service, { flags: 'SA', seq: 5, ack: 99 }),
          rst(service, pod, { flags: 'R', seq: 99 }),
          1,
        ),
      ],
    },
  ];
}

packetTable('refusals', BOOKS.flatMap(cases));

packetTable(
  'refusals are limited',
  BOOKS.map(
    (b): Row => ({
      does: `v${b.family}: the third within a second on one CPU is dropped and counted`,
      given: (w) => {
        w.onOneCpu();
        w.service({ at: b.at(b.vip, 53), proto: 'udp' });
      },
      steps: [0, 1, 2].map((i) => {
        const p = udp(b.at(b.pod1, 40000 + i), b.at(b.vip, 53), { payload: 'query' });
        if (i === 2) {
          return podSends({
            in: p,
            verdict: 'TC_ACT_SHOT',
            drops: { REFUSAL_LIMIT: 1 },
            services: { 1: { dropped: 1 } },
          });
        }
        return podSends({
          in: p,
          verdict: 'TC_ACT_REDIRECT',
          out: icmpError('port-unreachable', b.vip, b.pod1, p, { ip: b.family === 4 ? { id: 0 } : {} }),
          frame: 'swapped',
          paths: { REFUSED: 1 },
          services: { 1: { refused: 1 } },
        });
      }),
    }),
  ),
  { refusals_per_s: 2 },
);
