import { BACKEND_F_READY, BACKEND_F_SERVING } from '../../src/abi/index.js';
import { BOOKS, type Book } from '../support/packet/addresses.js';
import { readdress, type TcpOptions, tcp } from '../support/packet/index.js';
import { answer, first, more, podGets, podSends, wireSends } from '../support/packet/steps.js';
import { flowPair, type Given, packetTable, type Row, type Step } from '../support/packet/table.js';

/** A conversation of a pod with a service: what each side sends, and what becomes of it. */
class Talk {
  readonly b: Book;
  readonly client: string;
  readonly service: string;
  readonly backend: string;

  constructor(b: Book, o: { port?: number; backend?: string } = {}) {
    this.b = b;
    this.client = b.at(b.pod1, o.port ?? 40000);
    this.service = b.at(b.vip, 80);
    this.backend = o.backend ?? b.at(b.pod2, 8080);
  }

  says(o: TcpOptions, rest: Partial<Step> = {}): Step {
    const p = tcp(this.client, this.service, o);
    return podSends({
      in: p,
      verdict: 'TCX_NEXT',
      out: readdress(p, { dst: this.backend }),
      paths: { LOCAL: 1 },
      services: o.flags === 'S' && !rest.services ? first(p) : more(p),
      ...rest,
    });
  }

  hears(o: TcpOptions, rest: Partial<Step> = {}): Step {
    const p = tcp(this.backend, this.client, o);
    return podGets({
      in: p,
      verdict: 'TCX_NEXT',
      out: readdress(p, { src: this.service }),
      paths: { REPLY_EGRESS: 1 },
      services: answer(p),
      ...rest,
    });
  }

  again(o: TcpOptions): Step {
    return this.says(o, { services: more(tcp(this.client, this.service, o)) });
  }

  open(): Step[] {
    return [
      this.says({ flags: 'S', seq: 1000 }),
      this.hears({ flags: 'SA', seq: 5000, ack: 1001 }),
      this.says({ flags: 'A', seq: 1001, ack: 5001 }),
    ];
  }

  flows(table: 'half_open' | 'flows', flags: string, replyFlags = flags): string[] {
    return flowPair({ table, from: this.client, to: this.service, backend: this.backend, flags, replyFlags });
  }
}

const ESTABLISHED = 'SEEN_REPLY ESTABLISHED';

function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  const t = new Talk(b);
  const ended = new Talk(b, { port: 41000 });
  const moved = new Talk(b, { backend: b.at(b.remote, 8080) });
  const given: Given = (w) => {
    w.service({ at: t.service, backends: [t.backend, moved.backend] });
  };
  const toSecond: NonNullable<Step['before']> = (w) => w.made[0]?.choose([1]);
  const gone: NonNullable<Step['before']> = (w) => {
    w.made[0]?.backendState(0, { clear: 0xffff });
    w.made[0]?.choose([1]);
  };
  const rst = (o: TcpOptions) =>
    tcp(t.service, t.client, { window: 0, ip: b.family === 4 ? { id: 0 } : {}, ...o });
  // They fill the table: 16 entries.
  const eight = Array.from({ length: 8 }, (_, i) => new Talk(b, { port: 41000 + i }).open()).flat();
  const refused = podSends({
    in: tcp(t.client, t.service, { flags: 'A', seq: 1001, ack: 5001 }),
    verdict: 'TC_ACT_REDIRECT',
    out: rst({ flags: 'R', seq: 5001 }),
    frame: 'swapped',
    paths: { REFUSED: 1 },
    drops: { FLOW_TABLE_FULL: 1 },
    services: { 1: { refused: 1 } },
  });
  return [
    {
      does: `${v}: a SYN makes a half-open flow only`,
      given,
      steps: [t.says({ flags: 'S', seq: 1000 }, { flows: t.flows('half_open', '') })],
    },
    {
      does: `${v}: a SYN-ACK alone does not establish a flow`,
      given,
      steps: [
        t.says({ flags: 'S', seq: 1000 }),
        t.hears({ flags: 'SA', seq: 5000, ack: 1001 }, { flows: t.flows('half_open', 'SEEN_REPLY') }),
      ],
    },
    {
      does: `${v}: the acknowledgement of the SYN-ACK establishes the flow`,
      given,
      steps: [
        ...t.open().slice(0, 2),
        t.says({ flags: 'A', seq: 1001, ack: 5001 }, { flows: t.flows('flows', ESTABLISHED) }),
      ],
    },
    {
      does: `${v}: so does the first data that acknowledges more than the SYN-ACK`,
      given,
      steps: [
        ...t.open().slice(0, 2),
        t.says(
          { flags: 'PA', seq: 1001, ack: 5301, payload: 'GET /' },
          { flows: t.flows('flows', ESTABLISHED) },
        ),
      ],
    },
    {
      does: `${v}: an acknowledgement around the end of the number space counts as well`,
      given,
      steps: [
        t.says({ flags: 'S', seq: 1000 }),
        t.hears({ flags: 'SA', seq: 0xffffffff, ack: 1001 }),
        // ack_next is 0 here, which must not read as "none yet".
        t.says({ flags: 'A', seq: 1001, ack: 100 }, { flows: t.flows('flows', ESTABLISHED) }),
      ],
    },
    ...[
      ['before the SYN-ACK', 5000, false],
      ['of nothing', 0, true],
      ['far beyond the SYN-ACK', 5001 + 65536, true],
    ].map(
      ([what, ack]): Row => ({
        does: `${v}: an acknowledgement ${what} establishes nothing`,
        given,
        steps: [
          ...t.open().slice(0, 2),
          t.says(
            { flags: 'A', seq: 1001, ack: ack as number },
            { flows: t.flows('half_open', 'SEEN_REPLY') },
          ),
        ],
      }),
    ),
    {
      does: `${v}: an acknowledgement before any SYN-ACK establishes nothing`,
      given,
      steps: [
        t.says({ flags: 'S', seq: 1000 }),
        t.says({ flags: 'A', seq: 1001, ack: 1 }, { flows: t.flows('half_open', '') }),
      ],
    },
    {
      does: `${v}: packets after the handshake go on in both directions`,
      given,
      steps: [
        ...t.open(),
        t.says({ flags: 'PA', seq: 1001, ack: 5001, payload: 'question' }),
        t.hears(
          { flags: 'PA', seq: 5001, ack: 1009, payload: 'answer' },
          { flows: t.flows('flows', ESTABLISHED) },
        ),
      ],
    },
    {
      does: `${v}: the flow counts its packets and bytes in each direction`,
      given,
      steps: [
        ...t.open(),
        t.says(
          { flags: 'PA', seq: 1001, ack: 5001, payload: 'question' },
          {
            after: (w) => {
              const found = w.ct.flows.entries().map(([k, f]) => [k.dir, Number(f.packets)]);
              if (JSON.stringify(found.sort()) !== '[[0,3],[1,1]]') {
                throw new Error(`packets by direction are ${JSON.stringify(found)}, expected 3 and 1`);
              }
            },
          },
        ),
      ],
    },
    {
      does: `${v}: a SYN repeated before the answer goes to the same backend`,
      given,
      steps: [
        t.says({ flags: 'S', seq: 1000 }),
        { ...t.again({ flags: 'S', seq: 1000 }), before: toSecond, flows: t.flows('half_open', '') },
      ],
    },
    {
      does: `${v}: a SYN on a live connection goes to the same backend and tears nothing down`,
      given,
      steps: [
        ...t.open(),
        { ...t.again({ flags: 'S', seq: 90000 }), before: toSecond, flows: t.flows('flows', ESTABLISHED) },
        t.says({ flags: 'PA', seq: 1001, ack: 5001, payload: 'still here' }),
      ],
    },
    {
      does: `${v}: a SYN after FINs of both sides begins a new flow`,
      given,
      steps: [
        ...t.open(),
        t.says(
          { flags: 'FA', seq: 1001, ack: 5001 },
          { flows: t.flows('flows', `${ESTABLISHED} FIN_ORIGINAL`) },
        ),
        t.hears(
          { flags: 'FA', seq: 5001, ack: 1002 },
          { flows: t.flows('flows', `${ESTABLISHED} FIN_ORIGINAL FIN_REPLY`) },
        ),
        t.says({ flags: 'A', seq: 1002, ack: 5002 }),
        moved.says({ flags: 'S', seq: 2000 }, { before: toSecond, flows: moved.flows('half_open', '') }),
      ],
    },
    {
      does: `${v}: after a FIN of one side a SYN still belongs to the old connection`,
      given,
      steps: [
        ...t.open(),
        t.hears({ flags: 'FA', seq: 5001, ack: 1001 }),
        { ...t.again({ flags: 'S', seq: 2000 }), before: toSecond },
      ],
    },
    {
      does: `${v}: a SYN after a reset begins a new flow`,
      given,
      steps: [
        ...t.open(),
        t.hears({ flags: 'R', seq: 5001 }, { flows: t.flows('flows', `${ESTABLISHED} RST`) }),
        moved.says({ flags: 'S', seq: 2000 }, { before: toSecond, flows: moved.flows('half_open', '') }),
      ],
    },
    {
      does: `${v}: a reset counts no longer when either side goes on as before`,
      given,
      steps: [
        ...t.open(),
        t.says({ flags: 'R', seq: 1001 }, { flows: t.flows('flows', `${ESTABLISHED} RST`) }),
        t.hears(
          { flags: 'PA', seq: 5001, ack: 1001, payload: 'x' },
          { flows: t.flows('flows', ESTABLISHED) },
        ),
        { ...t.again({ flags: 'S', seq: 2000 }), before: toSecond },
      ],
    },
    {
      does: `${v}: a reset far from what the backend expects counts for nothing, nor does a SYN after it`,
      given,
      steps: [
        ...t.open(),
        t.says({ flags: 'R', seq: 900_000_001 }, { flows: t.flows('flows', ESTABLISHED) }),
        { ...t.again({ flags: 'S', seq: 2000 }), before: toSecond },
      ],
    },
    {
      does: `${v}: FINs far from what the other side expects do not end a connection`,
      given,
      steps: [
        ...t.open(),
        t.says({ flags: 'FA', seq: 2_000_000_001, ack: 5001 }),
        t.hears({ flags: 'FA', seq: 2_000_000_001, ack: 1001 }, { flows: t.flows('flows', ESTABLISHED) }),
        { ...t.again({ flags: 'S', seq: 2000 }), before: toSecond },
      ],
    },
    {
      does: `${v}: a packet of the client's tuple from another device is not the client's`,
      given,
      steps: [
        ...t.open(),
        wireSends({
          in: tcp(t.client, t.service, { flags: 'A', seq: 1001, ack: 5001 }),
          verdict: 'TCX_NEXT',
          out: 'unchanged',
          flows: t.flows('flows', ESTABLISHED),
        }),
      ],
    },
    {
      does: `${v}: a SYN on a flow whose backend is gone begins a new flow`,
      given,
      steps: [...t.open(), moved.says({ flags: 'S', seq: 2000 }, { before: gone })],
    },
    {
      does: `${v}: a SYN on a flow whose backend id was given to another backend begins a new flow`,
      given,
      steps: [
        ...t.open(),
        moved.says(
          { flags: 'S', seq: 2000 },
          {
            before: (w) => {
              w.made[0]?.recycleBackend(0, b.at(b.remote2, 9));
              w.made[0]?.choose([1]);
            },
          },
        ),
      ],
    },
    {
      does: `${v}: an established connection survives its backend's removal from the list`,
      given,
      steps: [
        ...t.open(),
        t.says({ flags: 'PA', seq: 1001, ack: 5001, payload: 'x' }, { before: gone }),
        t.hears({ flags: 'PA', seq: 5001, ack: 1002, payload: 'y' }),
      ],
    },
    {
      does: `${v}: an established connection survives a backend that is no longer ready nor serving`,
      given,
      steps: [
        ...t.open(),
        t.says(
          { flags: 'PA', seq: 1001, ack: 5001, payload: 'x' },
          {
            before: (w) => {
              w.made[0]?.backendState(0, { clear: BACKEND_F_READY | BACKEND_F_SERVING });
              w.made[0]?.choose([1]);
            },
          },
        ),
      ],
    },
    {
      does: `${v}: an established connection survives the removal of its service and address`,
      given,
      steps: [
        ...t.open(),
        t.says({ flags: 'PA', seq: 1001, ack: 5001, payload: 'x' }, { before: (w) => w.made[0]?.remove() }),
        t.hears({ flags: 'PA', seq: 5001, ack: 1002, payload: 'y' }),
      ],
    },
    {
      does: `${v}: after the removal of a service a new SYN is none of our business`,
      given,
      steps: [
        podSends({
          before: (w) => w.made[0]?.remove(),
          in: tcp(t.client, t.service, { flags: 'S' }),
          verdict: 'TCX_NEXT',
          out: 'unchanged',
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: half of a pair that the table lost is made again by the other half`,
      given,
      steps: [
        t.says({ flags: 'S', seq: 1000 }),
        t.says(
          { flags: 'S', seq: 1000 },
          {
            before: (w) => {
              for (const [k] of w.ct.half_open.entries()) if (k.dir === 1) w.ct.half_open.delete(k);
              w.passTime(2);
            },
            services: more(tcp(t.client, t.service)),
            flows: t.flows('half_open', ''),
          },
        ),
      ],
    },
    {
      does: `${v}: Maglev leads data of an unknown connection to its backend`,
      given: (w) => {
        w.service({ at: t.service, maglev: true, backends: [t.backend] });
      },
      steps: [
        t.says(
          { flags: 'PA', seq: 5, ack: 99, payload: 'x' },
          {
            services: first(tcp(t.client, t.service, { payload: 'x' })),
            flows: t.flows('half_open', 'MIDSTREAM'),
          },
        ),
        // Only the backend's own answer shows that the connection exists: a flood gets no further.
        t.hears({ flags: 'PA', seq: 99, ack: 6, payload: 'y' }),
        t.says({ flags: 'A', seq: 6, ack: 100 }, { flows: t.flows('flows', `${ESTABLISHED} MIDSTREAM`) }),
      ],
    },
    {
      does: `${v}: during a takeover data of an unknown connection is handed up as it is`,
      given: (w) => {
        given(w);
        w.configure({ takeover_until_ns: process.hrtime.bigint() + 60_000_000_000n });
      },
      steps: [
        podSends({
          in: tcp(t.client, t.service, { flags: 'A', seq: 5, ack: 99 }),
          verdict: 'TCX_NEXT',
          out: 'unchanged',
          flows: [],
        }),
        t.says({ flags: 'S', seq: 1000 }),
      ],
    },
    {
      does: `${v}: after the takeover it is reset`,
      given: (w) => {
        given(w);
        w.configure({ takeover_until_ns: process.hrtime.bigint() - 1n });
      },
      steps: [
        podSends({
          in: tcp(t.client, t.service, { flags: 'A', seq: 5, ack: 99 }),
          verdict: 'TC_ACT_REDIRECT',
          out: rst({ flags: 'R', seq: 99 }),
          frame: 'swapped',
          paths: { REFUSED: 1 },
          services: { 1: { refused: 1 } },
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: when the table of connections is full a new one is refused, the others go on`,
      given,
      steps: [
        ...eight,
        ...t.open().slice(0, 2),
        refused,
        new Talk(b, { port: 41000 }).says({ flags: 'PA', seq: 1001, ack: 5001, payload: 'x' }),
        new Talk(b, { port: 41007 }).hears({ flags: 'PA', seq: 5001, ack: 1001, payload: 'x' }),
      ],
    },
    {
      does: `${v}: when the table of connections is full, what has ended makes room, and nothing else does`,
      given,
      steps: [
        ...eight,
        // One has ended, one half, one was reset.
        ended.says({ flags: 'FA', seq: 1001, ack: 5001 }),
        ended.hears({ flags: 'FA', seq: 5001, ack: 1002 }),
        new Talk(b, { port: 41001 }).says({ flags: 'FA', seq: 1001, ack: 5001 }),
        new Talk(b, { port: 41002 }).hears({ flags: 'R', seq: 5001 }),
        ...t.open().slice(0, 2),
        // Just now: its last ACKs may be under way.
        refused,
        { ...t.says({ flags: 'A', seq: 1001, ack: 5001 }), before: (w) => w.passTime(3) },
        ...new Talk(b, { port: 42000 }).open(),
        {
          ...new Talk(b, { port: 41001 }).hears({ flags: 'PA', seq: 5001, ack: 1002, payload: 'x' }),
          flows: [
            ...[41003, 41004, 41005, 41006, 41007, 40000, 42000].flatMap((port) =>
              new Talk(b, { port }).flows('flows', ESTABLISHED),
            ),
            ...new Talk(b, { port: 41001 }).flows('flows', `${ESTABLISHED} FIN_ORIGINAL`),
          ],
        },
      ],
    },
  ];
}

packetTable('connections', BOOKS.flatMap(cases));
