// Rules of SEMANTICS and causes of drops that no other table shows.
import { BOOKS, type Book } from '../support/packet/addresses.js';
import { hop, type Packet, readdress, tcp } from '../support/packet/index.js';
import { answer, first, more, podGets, podSends, viaNode2, wireSends } from '../support/packet/steps.js';
import { packetTable, type Row, type Step } from '../support/packet/table.js';

function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  const [one, two] = [b.at(b.remote, 8080), b.at(b.remote2, 8080)];
  const entry = b.at(b.node, 30080);
  const syn = (client: string, port: number) => tcp(b.at(client, port), entry, { flags: 'S' });
  /** A first packet past the stack, from this node's only SNAT port. */
  const goesTo = (backend: string, client: string, port: number, o: Partial<Step> = {}): Step => {
    const p = syn(client, port);
    return wireSends({
      in: p,
      verdict: 'TC_ACT_REDIRECT',
      out: hop(readdress(p, { src: b.at(b.node, 20000), dst: backend })),
      frame: viaNode2,
      paths: { REMOTE_TC: 1 },
      services: first(p),
      ...o,
    });
  };
  const ports = [b.at(b.vip, 80), b.at(b.vip, 81)] as const;
  const connects = (to: string, at: string, port: number, o: Partial<Step> = {}): Step => {
    const p = tcp(b.at(b.pod1, port), at, { flags: 'S' });
    const id = at === ports[0] ? 1 : 2;
    return podSends({
      in: p,
      verdict: 'TCX_NEXT',
      out: readdress(p, { dst: to }),
      paths: { LOCAL: 1 },
      services: first(p, id),
      ...o,
    });
  };
  const talk = { client: b.at(b.pod1, 41000), backend: b.at(b.pod2, 8080) };
  const says = (p: Packet, o: Partial<Step> = {}): Step =>
    podSends({
      in: p,
      verdict: 'TCX_NEXT',
      out: readdress(p, { dst: talk.backend }),
      paths: { LOCAL: 1 },
      services: more(p),
      ...o,
    });
  const hears = (p: Packet): Step =>
    podGets({
      in: p,
      verdict: 'TCX_NEXT',
      out: readdress(p, { src: ports[0] }),
      paths: { REPLY_EGRESS: 1 },
      services: answer(p),
    });
  const opening = tcp(talk.client, ports[0], { flags: 'S', seq: 1000 });
  return [
    {
      // nf_conntrack calls such a packet INVALID and leaves it untranslated: the client then resets the connection.
      does: `${v}: an answer far outside of the window is restored as any other, and ends nothing`,
      given: (w) => {
        w.service({ at: ports[0], backends: [talk.backend] });
      },
      steps: [
        says(opening, { services: first(opening) }),
        hears(tcp(talk.backend, talk.client, { flags: 'SA', seq: 5000, ack: 1001 })),
        says(tcp(talk.client, ports[0], { flags: 'A', seq: 1001, ack: 5001 })),
        hears(tcp(talk.backend, talk.client, { flags: 'A', seq: 2_000_000_000, ack: 3_000_000_000 })),
        says(tcp(talk.client, ports[0], { flags: 'PA', seq: 1001, ack: 5001, payload: 'on' })),
      ],
    },
    {
      does: `${v}: affinity knows outside clients apart that leave with one and the same address`,
      given: (w) => {
        w.service({ at: b.nodePort(30080), affinity: 30, backends: [one, two] });
      },
      steps: [
        goesTo(one, b.client, 40000),
        // Known by the address that it leaves with, this one would follow the first.
        goesTo(two, b.client2, 40000, { before: (w) => w.made[0]?.choose([1, 0]) }),
      ],
    },
    {
      does: `${v}: affinity is kept for each port of a Service by itself`,
      given: (w) => {
        for (const at of ports) w.service({ at, affinity: 30, backends: [one, two] });
      },
      steps: [
        connects(one, ports[0], 40000),
        connects(two, ports[1], 40001, { before: (w) => w.made[1]?.choose([1, 0]) }),
      ],
    },
  ];
}

packetTable('rules of SEMANTICS', BOOKS.flatMap(cases));
