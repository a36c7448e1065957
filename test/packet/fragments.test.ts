import { BOOKS, type Book } from '../support/packet/addresses.js';
import { fragment, hop, type Packet, readdress, sctp, tcp, udp } from '../support/packet/index.js';
import { podGets, podSends, viaNode2, wireSends } from '../support/packet/steps.js';
import { type Given, packetTable, type Row, type Step } from '../support/packet/table.js';

function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  const client = b.at(b.pod1, 40000);
  const service = b.at(b.vip, 53);
  const backend = b.at(b.pod2, 5353);
  const long = 'x'.repeat(100);
  const whole = udp(client, service, { payload: long });
  const asSent = readdress(whole, { dst: backend });
  const pieces = fragment(whole, 48);
  const wanted = fragment(asSent, 48);
  const given: Given = (w) => {
    w.service({ at: service, proto: 'udp', backends: [backend] });
  };
  const sends = (p: Packet | undefined, out: Packet | undefined, o: Partial<Step> = {}): Step => {
    if (!p || !out) throw new Error('there are fewer fragments than expected');
    return podSends({ in: p, verdict: 'TCX_NEXT', out, paths: { LOCAL: 1 }, services: true, ...o });
  };
  const unknown = (p: Packet | undefined): Step =>
    podSends({ in: p as Packet, verdict: 'TC_ACT_SHOT', drops: { FRAGMENT_UNKNOWN: 1 } });
  const rows: Row[] = [
    {
      does: `${v}: all fragments of a datagram go to one backend`,
      given,
      steps: pieces.map((p, i) => sends(p, wanted[i])),
    },
    {
      does: `${v}: the fragments of an answer are all restored`,
      given,
      steps: [
        podSends({
          in: udp(client, service, { payload: 'q' }),
          verdict: 'TCX_NEXT',
          out: udp(client, backend, { payload: 'q' }),
          paths: { LOCAL: 1 },
          services: true,
        }),
        ...fragment(udp(backend, client, { payload: long }), 48).map((p, i) =>
          podGets({
            in: p,
            verdict: 'TCX_NEXT',
            out: fragment(udp(service, client, { payload: long }), 48)[i] as Packet,
            paths: { REPLY_EGRESS: 1 },
            services: true,
          }),
        ),
      ],
    },
    {
      does: `${v}: a later fragment that comes before the first is dropped and counted`,
      given,
      steps: [unknown(pieces[1]), sends(pieces[0], wanted[0]), sends(pieces[1], wanted[1])],
    },
    {
      does: `${v}: fragments are told apart by their id`,
      given,
      steps: [sends(pieces[0], wanted[0]), unknown(fragment(whole, 48, 0x9999)[1])],
    },
    {
      does: `${v}: a first fragment is remembered for a second`,
      given,
      steps: [
        sends(pieces[0], wanted[0]),
        { ...sends(pieces[1], wanted[1]), before: (w) => w.passTime(0.8) },
        { ...unknown(pieces[2]), before: (w) => w.passTime(0.4) },
      ],
    },
    {
      does: `${v}: a later fragment to the node's own address is none of our business`,
      given,
      steps: [
        wireSends({
          in: fragment(udp(b.at(b.client, 40000), b.at(b.node, 53), { payload: long }), 48)[1] as Packet,
          verdict: 'TCX_NEXT',
          out: 'unchanged',
        }),
      ],
    },
    {
      does: `${v}: a later fragment between pods passes untouched`,
      given,
      steps: [
        podSends({
          in: fragment(udp(client, b.at(b.pod2, 53), { payload: long }), 48)[1] as Packet,
          verdict: 'TCX_NEXT',
          out: 'unchanged',
        }),
      ],
    },
    {
      does: `${v}: TCP fragments go to one backend as well`,
      given: (w) => {
        w.service({ at: service, proto: 'tcp', maglev: true, backends: [backend] });
      },
      steps: fragment(tcp(client, service, { flags: 'PA', seq: 1, ack: 1, payload: long }), 48).map((p, i) =>
        sends(p, fragment(tcp(client, backend, { flags: 'PA', seq: 1, ack: 1, payload: long }), 48)[i]),
      ),
    },
    {
      does: `${v}: SCTP fragments whose ports stay are translated`,
      given: (w) => {
        w.service({ at: service, proto: 'sctp', backends: [b.at(b.pod2, 53)] });
      },
      steps: fragment(sctp(client, service, { payload: long }), 48).map((p, i) =>
        sends(p, fragment(sctp(client, b.at(b.pod2, 53), { payload: long }), 48)[i]),
      ),
    },
    {
      does: `${v}: a first SCTP fragment that would need other ports is dropped and counted`,
      given: (w) => {
        w.service({ at: service, proto: 'sctp', backends: [backend] });
      },
      steps: [
        podSends({
          in: fragment(sctp(client, service, { payload: long }), 48)[0] as Packet,
          verdict: 'TC_ACT_SHOT',
          drops: { SCTP_FRAGMENT: 1 },
          services: true,
        }),
      ],
    },
    {
      does: `${v}: fragments go past the stack too`,
      given: (w) => {
        w.service({ at: b.nodePort(30053), proto: 'udp', backends: [b.at(b.remote, 5353)] });
      },
      steps: (() => {
        const sent = udp(b.at(b.client, 40000), b.at(b.node, 30053), { payload: long });
        const out = udp(b.at(b.node, 20000), b.at(b.remote, 5353), { payload: long });
        return fragment(sent, 48).map((p, i) =>
          wireSends({
            in: p,
            verdict: 'TC_ACT_REDIRECT',
            out: hop(fragment(out, 48)[i] as Packet),
            frame: viaNode2,
            paths: { REMOTE_TC: 1 },
            services: true,
          }),
        );
      })(),
    },
  ];
  if (b.family === 4) {
    const plain = udp(client, service, { payload: long, checksum: 0 });
    rows.push({
      does: 'v4: fragments without a UDP checksum stay without one',
      given,
      steps: fragment(plain, 48).map((p, i) => sends(p, fragment(readdress(plain, { dst: backend }), 48)[i])),
    });
  }
  return rows;
}

packetTable('fragments', BOOKS.flatMap(cases));
