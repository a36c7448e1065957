import { BOOKS, type Book } from '../support/packet/addresses.js';
import { icmpError, readdress, tcp, udp } from '../support/packet/index.js';
import { answer, first, more, podSends } from '../support/packet/steps.js';
import { flowPair, type Given, packetTable, type Row } from '../support/packet/table.js';

const HAIRPIN = 'RESTORE_INGRESS HAIRPIN';

function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  return (['tcp', 'udp'] as const).flatMap((proto): Row[] => {
    const client = b.at(b.pod1, 40000);
    const service = b.at(b.vip, 80);
    const backend = b.at(b.pod1, 8080);
    const seen = b.at(b.hairpin, 40000);
    const open =
      proto === 'tcp'
        ? tcp(client, service, { flags: 'S', seq: 1000 })
        : udp(client, service, { payload: 'query' });
    const reply =
      proto === 'tcp'
        ? tcp(backend, seen, { flags: 'SA', seq: 5000, ack: 1001 })
        : udp(backend, seen, { payload: 'answer' });
    const pair = {
      table: proto === 'tcp' ? 'half_open' : 'any',
      proto,
      from: client,
      to: service,
      as: seen,
      backend,
    } as const;
    const given: Given = (w) => {
      w.service({ at: service, proto, backends: [backend] });
    };
    const goes = podSends({
      in: open,
      verdict: 'TC_ACT_REDIRECT',
      out: readdress(open, { src: seen, dst: backend }),
      frame: 'swapped',
      paths: { HAIRPIN: 1 },
      services: first(open),
      flows: flowPair({ ...pair, flags: HAIRPIN }),
    });
    const returns = podSends({
      in: reply,
      verdict: 'TC_ACT_REDIRECT',
      out: readdress(reply, { src: service, dst: client }),
      frame: 'swapped',
      paths: { HAIRPIN: 1 },
      services: answer(reply),
      flows: flowPair({ ...pair, flags: `${HAIRPIN} SEEN_REPLY` }),
    });
    const rows: Row[] = [
      { does: `${proto} ${v}: a pod reaches itself through its service`, given, steps: [goes] },
      { does: `${proto} ${v}: its answer to itself comes back the same way`, given, steps: [goes, returns] },
      {
        does: `${proto} ${v}: another backend of the same service is no hairpin`,
        given: (w) => {
          w.service({ at: service, proto, backends: [b.at(b.pod2, 8080), backend] });
        },
        steps: [
          podSends({
            in: open,
            verdict: 'TCX_NEXT',
            out: readdress(open, { dst: b.at(b.pod2, 8080) }),
            paths: { LOCAL: 1 },
            services: first(open),
          }),
        ],
      },
      {
        does: `${proto} ${v}: a packet to the hairpin address that answers nothing passes untouched`,
        given,
        steps: [podSends({ in: reply, verdict: 'TCX_NEXT', out: 'unchanged', flows: [] })],
      },
    ];
    rows.push({
      does: `${proto} ${v}: through a second service of itself it is seen with another port`,
      given: (w) => {
        w.service({ at: service, proto, backends: [backend] });
        w.service({ at: b.at(b.vip2, 80), proto, backends: [backend] });
      },
      steps: [
        goes,
        podSends({
          in: readdress(open, { dst: b.at(b.vip2, 80) }),
          verdict: 'TC_ACT_REDIRECT',
          out: readdress(open, { src: b.at(b.hairpin, 20000), dst: backend }),
          frame: 'swapped',
          paths: { HAIRPIN: 1 },
          services: first(open, 2),
        }),
      ],
    });
    if (proto === 'tcp') {
      const ack = tcp(client, service, { flags: 'A', seq: 1001, ack: 5001 });
      rows.push({
        does: `tcp ${v}: the handshake with itself establishes the connection`,
        given,
        steps: [
          goes,
          returns,
          podSends({
            in: ack,
            verdict: 'TC_ACT_REDIRECT',
            out: readdress(ack, { src: seen, dst: backend }),
            frame: 'swapped',
            paths: { HAIRPIN: 1 },
            services: more(ack),
            flows: flowPair({ ...pair, table: 'flows', flags: `${HAIRPIN} SEEN_REPLY ESTABLISHED` }),
          }),
          podSends({
            in: tcp(backend, seen, { flags: 'PA', seq: 5001, ack: 1001, payload: 'x' }),
            verdict: 'TC_ACT_REDIRECT',
            out: tcp(service, client, { flags: 'PA', seq: 5001, ack: 1001, payload: 'x' }),
            frame: 'swapped',
            paths: { HAIRPIN: 1 },
            services: true,
          }),
        ],
      });
    } else {
      const about = readdress(open, { src: seen, dst: backend });
      const error = icmpError('port-unreachable', b.pod1, b.hairpin, about);
      rows.push({
        does: `udp ${v}: an error of the pod about its own packet comes back to it`,
        given,
        steps: [
          goes,
          podSends({
            in: error,
            verdict: 'TC_ACT_REDIRECT',
            out: icmpError('port-unreachable', b.vip, b.pod1, open),
            frame: 'swapped',
            paths: { ICMP_ERROR: 1 },
          }),
        ],
      });
    }
    return rows;
  });
}

packetTable('hairpin', BOOKS.flatMap(cases));
