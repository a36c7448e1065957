import {
  SETTING_FIXED_CHOICE,
  SETTING_HOST_ROUTING_STACK,
  SETTING_MASQUERADE_ALL,
  SETTING_MASQUERADE_EXTERNAL,
} from '../../src/abi/index.js';
import { BOOKS, type Book } from '../support/packet/addresses.js';
import { icmpError, type Packet, readdress, tcp, udp } from '../support/packet/index.js';
import type { DeviceName } from '../support/packet/netns.js';
import { answer, first, nodeSends, podGets, podSends, wireGets, wireSends } from '../support/packet/steps.js';
import { flowPair, packetTable, type Row, type Step } from '../support/packet/table.js';

interface Journey {
  does: string;
  /** Who asks, by which device, for what. */
  client: string;
  by: DeviceName;
  service: string;
  serviceAt?: string;
  type?: 'ClusterIP' | 'NodePort';
  /** Who answers, behind which device, and as whom it sees the client. */
  backend: string;
  behind: DeviceName;
  seenAs: string;
  external: boolean;
}

/**
 * There and back through the stack: DNAT at the client's edge, SNAT where it leaves for the backend;
 * un-SNAT where the answer arrives, un-DNAT where it leaves for the client.
 */
function journey(b: Book, proto: 'tcp' | 'udp', j: Journey): Row {
  const table = proto === 'tcp' ? 'half_open' : 'any';
  const open =
    proto === 'tcp'
      ? tcp(j.client, j.service, { flags: 'S', seq: 1000 })
      : udp(j.client, j.service, { payload: 'query' });
  const reply =
    proto === 'tcp'
      ? tcp(j.backend, j.seenAs, { flags: 'SA', seq: 5000, ack: 1001 })
      : udp(j.backend, j.seenAs, { payload: 'answer' });
  const middle = readdress(open, { dst: j.backend });
  const answerMiddle = readdress(reply, { dst: j.client });
  const entersBy = j.by.startsWith('pod') ? podSends : wireSends;
  const leavesBy = j.behind.startsWith('pod') ? podGets : wireGets;
  const answersBy = j.behind.startsWith('pod') ? podSends : wireSends;
  const returnsBy = j.by.startsWith('pod') ? podGets : wireGets;
  const external = j.external ? 'EXTERNAL' : '';
  const pairs = (seen: string, used = '') => [
    ...flowPair({
      table,
      proto,
      from: j.client,
      to: j.service,
      backend: j.backend,
      flags: external,
    }),
    ...flowPair({
      table,
      proto,
      from: j.client,
      to: j.backend,
      as: j.seenAs,
      backend: j.backend,
      middle: true,
      flags: ['RESTORE_INGRESS', external, seen, 'MIDDLE', used].filter(Boolean).join(' '),
    }),
  ];
  return {
    does: `${proto} v${b.family}: ${j.does}`,
    given: (w) => {
      w.service({ at: j.serviceAt ?? j.service, proto, backends: [j.backend] });
    },
    steps: [
      entersBy({
        on: j.by,
        in: open,
        verdict: 'TCX_NEXT',
        out: middle,
        paths: { LOCAL: 1 },
        services: first(open),
        flows: pairs(''),
      }),
      leavesBy({
        on: j.behind,
        cameBy: j.by,
        in: middle,
        verdict: 'TCX_NEXT',
        out: readdress(middle, { src: j.seenAs }),
        paths: { MIDDLE: 1 },
        flows: pairs('', 'MIDDLE_USED'),
      }),
      answersBy({
        on: j.behind,
        in: reply,
        verdict: 'TCX_NEXT',
        out: answerMiddle,
        paths: { MIDDLE_REPLY: 1 },
        services: true,
        flows: pairs('SEEN_REPLY', 'MIDDLE_USED'),
      }),
      returnsBy({
        on: j.by,
        cameBy: j.behind,
        in: answerMiddle,
        verdict: 'TCX_NEXT',
        out: readdress(answerMiddle, { src: j.service }),
        paths: { REPLY_EGRESS: 1 },
        services: answer(reply),
      }),
    ],
  };
}

const both = (of: (b: Book) => Journey[]): Row[] =>
  BOOKS.flatMap((b) => (['tcp', 'udp'] as const).flatMap((proto) => of(b).map((j) => journey(b, proto, j))));

const fromOutside = (b: Book) => ({
  client: b.at(b.client, 40000),
  by: 'uplink' as const,
  service: b.at(b.node, 30080),
  serviceAt: b.nodePort(30080),
  external: true,
});

const keepsSource = (
  b: Book,
  does: string,
  o: {
    at: string;
    local?: boolean;
    send: (s: Omit<Step, 'program' | 'on'>) => Step;
    p: Packet;
    backend: string;
  },
): Row => ({
  does: `v${b.family}: ${does}`,
  given: (w) => {
    w.service({ at: o.at, backends: [o.backend], ...(o.local ? { externalPolicy: 'Local' } : {}) });
  },
  steps: [
    o.send({
      in: o.p,
      verdict: 'TCX_NEXT',
      out: readdress(o.p, { dst: o.backend }),
      paths: { LOCAL: 1 },
      services: first(o.p),
    }),
  ],
});

/** An error of a router behind us about the SNAT form, which becomes the middle form, then the client's. */
function errorThroughTheStack(b: Book): Row {
  const client = b.at(b.client, 40000);
  const entry = b.at(b.node, 30080);
  const backend = b.at(b.remote, 8080);
  const router = b.family === 4 ? '192.0.2.77' : '2001:db8:2::77';
  const asked = udp(client, entry, { payload: 'query' });
  const middle = readdress(asked, { dst: backend });
  const sent = readdress(middle, { src: b.at(b.node, 20000) });
  const about = (to: string, p: Packet) => icmpError('too-big', router, to, p, { rest: 1280 });
  return {
    does: `v${b.family}: packet too big of a router behind us reaches the client in two steps`,
    given: (w) => {
      w.service({ at: b.nodePort(30080), proto: 'udp', backends: [backend] });
    },
    steps: [
      wireSends({ in: asked, verdict: 'TCX_NEXT', out: middle, paths: { LOCAL: 1 }, services: true }),
      wireGets({ cameBy: 'uplink', in: middle, verdict: 'TCX_NEXT', out: sent, paths: { MIDDLE: 1 } }),
      wireSends({
        in: about(b.node, sent),
        verdict: 'TCX_NEXT',
        out: about(b.client, middle),
        paths: { ICMP_ERROR: 1 },
      }),
      wireGets({
        cameBy: 'uplink',
        in: about(b.client, middle),
        verdict: 'TCX_NEXT',
        out: about(b.client, asked),
        paths: { ICMP_ERROR: 1 },
      }),
    ],
  };
}

/** A MASQUERADE rule came first: the second pair never saw a packet, and somebody else has its port. */
function unusedSecondPair(b: Book, proto: 'tcp' | 'udp'): Row {
  const client = b.at(b.client, 40000);
  const entry = b.at(b.node, 30080);
  const backend = b.at(b.remote, 8080);
  const port = b.at(b.node, 20000);
  const open =
    proto === 'tcp' ? tcp(client, entry, { flags: 'S' }) : udp(client, entry, { payload: 'query' });
  const answer = proto === 'tcp' ? tcp(backend, port, { flags: 'SA' }) : udp(backend, port, { payload: 'a' });
  return {
    does: `${proto} v${b.family}: a pair that the stack let nothing through for restores nobody's replies`,
    given: (w) => {
      w.service({ at: b.nodePort(30080), proto, backends: [backend] });
    },
    steps: [
      wireSends({
        in: open,
        verdict: 'TCX_NEXT',
        out: readdress(open, { dst: backend }),
        paths: { LOCAL: 1 },
        services: true,
      }),
      wireSends({ in: answer, verdict: 'TCX_NEXT', out: 'unchanged' }),
      ...(proto === 'udp'
        ? [
            nodeSends({
              in: udp(port, backend, { payload: 'own' }),
              verdict: 'TCX_NEXT' as const,
              out: 'unchanged' as const,
            }),
          ]
        : []),
    ],
  };
}

packetTable(
  '--external-source=masquerade',
  [
    ...both((b) => [
      {
        ...fromOutside(b),
        does: 'outside -> NodePort -> pod of this node is masqueraded at the pod',
        backend: b.at(b.pod1, 8080),
        behind: 'pod1',
        seenAs: b.at(b.node, 20000),
      },
      {
        does: 'pod -> NodePort -> pod of this node is masqueraded at that pod',
        client: b.at(b.pod1, 40000),
        by: 'pod1',
        service: b.at(b.node, 30080),
        serviceAt: b.nodePort(30080),
        backend: b.at(b.pod2, 8080),
        behind: 'pod2',
        seenAs: b.at(b.node, 20000),
        external: false,
      },
    ]),
    ...BOOKS.flatMap((b) => [
      keepsSource(b, 'externalTrafficPolicy Local still keeps the source', {
        at: b.nodePort(30080),
        local: true,
        send: wireSends,
        p: tcp(b.at(b.client, 40000), b.at(b.node, 30080), { flags: 'S' }),
        backend: b.at(b.pod1, 8080),
      }),
      keepsSource(b, 'cluster IPs still keep the source', {
        at: b.at(b.vip, 80),
        send: podSends,
        p: tcp(b.at(b.pod1, 40000), b.at(b.vip, 80), { flags: 'S' }),
        backend: b.at(b.remote, 8080),
      }),
    ]),
  ],
  { flags: SETTING_FIXED_CHOICE | SETTING_MASQUERADE_EXTERNAL },
);

packetTable(
  '--host-routing=stack',
  [
    ...both((b) => [
      {
        ...fromOutside(b),
        does: 'outside -> NodePort -> pod of another node goes through the stack in both directions',
        backend: b.at(b.remote, 8080),
        behind: 'uplink',
        seenAs: b.at(b.node, 20000),
      },
      {
        ...fromOutside(b),
        does: 'outside -> NodePort -> pod beyond the overlay has the overlay address as its source',
        backend: b.at(b.overlay, 8080),
        behind: 'overlay',
        seenAs: b.at(b.nodeOverlay, 20000),
      },
    ]),
    ...BOOKS.map(errorThroughTheStack),
    ...BOOKS.flatMap((b) => [unusedSecondPair(b, 'tcp'), unusedSecondPair(b, 'udp')]),
    ...BOOKS.map((b) =>
      keepsSource(b, "a backend of this node still gets the client's own address", {
        at: b.nodePort(30080),
        send: wireSends,
        p: tcp(b.at(b.client, 40000), b.at(b.node, 30080), { flags: 'S' }),
        backend: b.at(b.pod1, 8080),
      }),
    ),
  ],
  { flags: SETTING_FIXED_CHOICE | SETTING_HOST_ROUTING_STACK },
);

packetTable(
  '--masquerade-all',
  [
    ...both((b) => [
      {
        does: 'pod -> cluster IP -> pod of another node is masqueraded',
        client: b.at(b.pod1, 40000),
        by: 'pod1',
        service: b.at(b.vip, 80),
        backend: b.at(b.remote, 8080),
        behind: 'uplink',
        seenAs: b.at(b.node, 20000),
        external: false,
      },
    ]),
    ...BOOKS.map((b) =>
      keepsSource(b, 'NodePorts are no cluster IPs: the source stays', {
        at: b.nodePort(30080),
        send: podSends,
        p: tcp(b.at(b.pod1, 40000), b.at(b.node, 30080), { flags: 'S' }),
        backend: b.at(b.pod2, 8080),
      }),
    ),
  ],
  { flags: SETTING_FIXED_CHOICE | SETTING_MASQUERADE_ALL },
);
