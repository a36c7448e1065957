import { ADDRESS_F_ECHO } from '../../src/abi/index.js';
import { BOOKS, type Book } from '../support/packet/addresses.js';
import {
  echo,
  hop,
  type IcmpErrorKind,
  icmpError,
  type Packet,
  readdress,
  tcp,
  udp,
} from '../support/packet/index.js';
import {
  first,
  nodeSends,
  podGets,
  podSends,
  viaNode2,
  wireGets,
  wireSends,
} from '../support/packet/steps.js';
import { type Given, packetTable, type Row, type Step } from '../support/packet/table.js';

const KINDS: IcmpErrorKind[] = [
  'port-unreachable',
  'host-unreachable',
  'too-big',
  'time-exceeded',
  'parameter',
];

function errors(b: Book): Row[] {
  const v = `v${b.family}`;
  const pod = b.at(b.pod1, 40000);
  const service = b.at(b.vip, 80);
  const backend = b.at(b.pod2, 8080);
  const router = b.family === 4 ? '192.0.2.77' : '2001:db8:2::77';
  const query = udp(pod, service, { payload: 'query with some length' });
  const syn = tcp(pod, service, { flags: 'S', seq: 1000 });
  const given: Given = (w) => {
    w.service({ at: service, proto: 'udp', backends: [backend] });
    w.service({ at: service, proto: 'tcp', backends: [backend] });
  };
  const opens = (p: Packet): Step =>
    podSends({
      in: p,
      verdict: 'TCX_NEXT',
      out: readdress(p, { dst: backend }),
      paths: { LOCAL: 1 },
      services: true,
    });
  const comesBack = (
    p: Packet,
    kind: IcmpErrorKind,
    by: string,
    o: Parameters<typeof icmpError>[4] = {},
  ): Step =>
    podGets({
      in: icmpError(kind, by, b.pod1, readdress(p, { dst: backend }), o),
      verdict: 'TCX_NEXT',
      out: icmpError(kind, by === b.pod2 ? b.vip : by, b.pod1, p, o),
      paths: { ICMP_ERROR: 1 },
    });
  const rows: Row[] = [];
  for (const kind of KINDS) {
    const rest = kind === 'too-big' ? { rest: 1400 } : {};
    rows.push(
      {
        does: `${v}: ${kind} of the backend comes back as of the service`,
        given,
        steps: [opens(query), comesBack(query, kind, b.pod2, rest)],
      },
      {
        does: `${v}: ${kind} of a router on the way keeps the router's address`,
        given,
        steps: [opens(syn), comesBack(syn, kind, router, rest)],
      },
    );
  }
  rows.push(
    {
      does: `${v}: an error that quotes only the ports is translated as far as it goes`,
      given,
      steps: [
        opens(syn),
        comesBack(syn, 'host-unreachable', router, { quotedBytes: b.family === 4 ? 28 : 48 }),
      ],
    },
    {
      does: `${v}: an error that quotes less than the ports passes untouched`,
      given,
      steps: [
        opens(syn),
        podGets({
          in: icmpError('host-unreachable', router, b.pod1, readdress(syn, { dst: backend }), {
            quotedBytes: b.family === 4 ? 22 : 42,
          }),
          verdict: 'TCX_NEXT',
          out: 'unchanged',
        }),
      ],
    },
    {
      does: `${v}: an error about a packet that is none of ours passes untouched and makes nothing`,
      given,
      steps: [
        podGets({
          in: icmpError('port-unreachable', b.pod2, b.pod1, udp(pod, backend, { payload: 'x' })),
          verdict: 'TCX_NEXT',
          out: 'unchanged',
          flows: [],
        }),
      ],
    },
    {
      does: `${v}: a redirect is never translated`,
      given,
      steps: [
        opens(query),
        podGets({
          in: icmpError('redirect', router, b.pod1, readdress(query, { dst: backend })),
          verdict: 'TCX_NEXT',
          out: 'unchanged',
        }),
      ],
    },
    {
      does: `${v}: an error of the pod about an answer goes to the backend, about what it sent`,
      given,
      steps: [
        opens(query),
        podSends({
          in: icmpError('port-unreachable', b.pod1, b.vip, udp(service, pod, { payload: 'answer' })),
          verdict: 'TCX_NEXT',
          out: icmpError('port-unreachable', b.pod1, b.pod2, udp(backend, pod, { payload: 'answer' })),
          paths: { ICMP_ERROR: 1 },
        }),
      ],
    },
    {
      does: `${v}: an answer without a UDP checksum is quoted without one`,
      given,
      steps:
        b.family === 4
          ? [
              opens(udp(pod, service, { payload: 'query', checksum: 0 })),
              comesBack(udp(pod, service, { payload: 'query', checksum: 0 }), 'port-unreachable', b.pod2),
            ]
          : [opens(query), comesBack(query, 'port-unreachable', b.pod2, { quotedBytes: 60 })],
    },
  );
  // Past the stack.
  const outside = b.at(b.client, 40000);
  const entry = b.at(b.node, 30080);
  const there = b.at(b.remote, 8080);
  const snat = b.at(b.node, 20000);
  const asked = udp(outside, entry, { payload: 'query' });
  const local = b.at(b.pod1, 8080);
  const sentOn = wireSends({
    in: asked,
    verdict: 'TC_ACT_REDIRECT',
    out: hop(readdress(asked, { src: snat, dst: there })),
    frame: viaNode2,
    paths: { REMOTE_TC: 1 },
    services: first(asked),
  });
  const pastStack: Given = (w) => {
    w.service({ at: b.nodePort(30080), proto: 'udp', backends: [there] });
  };
  rows.push(
    {
      does: `${v}: an error of a backend elsewhere goes to the outside client, as of the NodePort`,
      given: pastStack,
      steps: [
        sentOn,
        wireSends({
          in: icmpError('port-unreachable', b.remote, b.node, readdress(asked, { src: snat, dst: there })),
          verdict: 'TC_ACT_REDIRECT',
          out: icmpError('port-unreachable', b.node, b.client, asked),
          paths: { ICMP_ERROR: 1 },
        }),
      ],
    },
    {
      does: `${v}: packet too big of a router behind us reaches the outside client`,
      given: pastStack,
      steps: [
        sentOn,
        wireSends({
          in: icmpError('too-big', router, b.node, hop(readdress(asked, { src: snat, dst: there }), -3), {
            rest: 1280,
          }),
          verdict: 'TC_ACT_REDIRECT',
          out: icmpError('too-big', router, b.client, hop(asked, -3), { rest: 1280 }),
          paths: { ICMP_ERROR: 1 },
        }),
      ],
    },
    {
      does: `${v}: an error about our answer goes from the outside client's side to the backend elsewhere`,
      given: pastStack,
      steps: [
        sentOn,
        wireSends({
          in: icmpError('too-big', router, b.node, udp(entry, outside, { payload: 'answer' }), {
            rest: 1280,
          }),
          verdict: 'TC_ACT_REDIRECT',
          out: icmpError('too-big', router, b.remote, udp(there, snat, { payload: 'answer' }), {
            rest: 1280,
          }),
          paths: { ICMP_ERROR: 1 },
        }),
      ],
    },
    {
      does: `${v}: an error of a local backend is restored where it leaves`,
      given: (w) => {
        w.service({ at: b.nodePort(30080), proto: 'udp', backends: [local] });
      },
      steps: [
        wireSends({
          in: asked,
          verdict: 'TCX_NEXT',
          out: readdress(asked, { dst: local }),
          paths: { LOCAL: 1 },
          services: true,
        }),
        wireGets({
          in: icmpError('port-unreachable', b.pod1, b.client, readdress(asked, { dst: local })),
          verdict: 'TCX_NEXT',
          out: icmpError('port-unreachable', b.node, b.client, asked),
          paths: { ICMP_ERROR: 1 },
        }),
      ],
    },
  );
  return rows;
}

function pings(b: Book): Row[] {
  const v = `v${b.family}`;
  const served: Given = (w) => {
    w.service({ at: b.at(b.vip, 80), backends: [b.at(b.pod2, 8080)] });
    w.service({ at: b.at(b.lb, 80), type: 'LoadBalancer', backends: [b.at(b.pod2, 8080)] });
    for (const ip of [b.vip, b.lb]) {
      const known = w.addresses.get(ip);
      if (known) w.addresses.set(ip, { ...known, flags: known.flags | ADDRESS_F_ECHO });
    }
  };
  const answered = (send: typeof podSends, from: string, to: string): Step =>
    send({
      in: echo(from, to, { id: 77, seq: 3, payload: 'abcdefgh' }),
      verdict: 'TC_ACT_REDIRECT',
      out: echo(to, from, { id: 77, seq: 3, payload: 'abcdefgh', reply: true }),
      frame: 'swapped',
      paths: { ECHO: 1 },
      flows: [],
    });
  const passes = (does: string, given: Given, p: Packet, send = podSends): Row => ({
    does: `${v}: ${does}`,
    given,
    steps: [send({ in: p, verdict: 'TCX_NEXT', out: 'unchanged', flows: [] })],
  });
  return [
    {
      does: `${v}: a pod's ping to a cluster IP is answered`,
      given: served,
      steps: [answered(podSends, b.pod1, b.vip)],
    },
    {
      does: `${v}: a ping from outside to a load-balancer IP is answered`,
      given: served,
      steps: [answered(wireSends, b.client, b.lb)],
    },
    {
      does: `${v}: a ping of this node to a cluster IP is answered`,
      given: served,
      steps: [answered(nodeSends, b.node, b.vip)],
    },
    {
      does: `${v}: an answer to a ping that came with little life left has a life of its own`,
      given: served,
      steps: [
        wireSends({
          in: echo(b.client, b.lb, { ttl: 1 }),
          verdict: 'TC_ACT_REDIRECT',
          out: echo(b.lb, b.client, { reply: true, ttl: 64 }),
          frame: 'swapped',
          paths: { ECHO: 1 },
        }),
      ],
    },
    passes(
      'a ping to a cluster IP that nobody serves passes',
      (w) => {
        w.service({ at: b.at(b.vip, 80) });
      },
      echo(b.pod1, b.vip),
    ),
    passes('a ping to the node is its own business', served, echo(b.client, b.node), wireSends),
    passes('a ping between pods passes', served, echo(b.pod1, b.pod2)),
    passes('an echo reply to a cluster IP is not answered', served, echo(b.pod1, b.vip, { reply: true })),
  ];
}

packetTable('ICMP errors', BOOKS.flatMap(errors));
packetTable('ping', BOOKS.flatMap(pings));
