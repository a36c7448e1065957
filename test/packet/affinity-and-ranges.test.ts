import { BACKEND_F_IN_CLUSTER, BACKEND_F_IN_INTERNAL } from '../../src/abi/index.js';
import { BOOKS, type Book } from '../support/packet/addresses.js';
import { readdress, tcp, udp } from '../support/packet/index.js';
import { first, l3, nodeSends, podSends, wireSends } from '../support/packet/steps.js';
import { type Given, packetTable, type Row, type Step } from '../support/packet/table.js';
import type { PacketWorld } from '../support/packet/world.js';

function affinity(b: Book): Row[] {
  const v = `v${b.family}`;
  const service = b.at(b.vip, 80);
  const backends = [b.at(b.pod2, 8080), b.at(b.remote, 8080)];
  const [one, two] = backends as [string, string];
  const given: Given = (w) => {
    w.service({ at: service, affinity: 30, backends });
  };
  let port = 40000;
  /** A new connection of a client, and the backend that it must reach. */
  const connects = (
    to: string,
    o: Partial<Step> & { hit?: boolean; from?: string; at?: string } = {},
  ): Step => {
    const { hit, from, at, ...rest } = o;
    const p = tcp(b.at(from ?? b.pod1, port++), at ?? service, { flags: 'S' });
    const counted = first(p);
    if (hit && counted[1]) counted[1].affinity_hits = 1;
    return podSends({
      in: p,
      verdict: 'TCX_NEXT',
      out: readdress(p, { dst: to }),
      paths: { LOCAL: 1 },
      services: counted,
      ...rest,
    });
  };
  const preferSecond = (w: PacketWorld) => w.made[0]?.choose([1, 0]);
  const only = (w: PacketWorld, index: number) => {
    w.made[0]?.choose([index]);
    w.made[0]?.backendState(1 - index, { clear: BACKEND_F_IN_INTERNAL | BACKEND_F_IN_CLUSTER });
  };
  return [
    {
      does: `${v}: a client comes back to its backend whatever the list prefers`,
      given,
      steps: [
        connects(one),
        connects(one, { before: preferSecond, hit: true }),
        connects(one, { hit: true }),
      ],
    },
    {
      does: `${v}: another client has an affinity of its own`,
      given,
      steps: [connects(one), connects(two, { before: preferSecond, from: b.pod2b })],
    },
    {
      does: `${v}: after the timeout another backend may be chosen`,
      given,
      steps: [
        connects(one),
        connects(two, {
          before: (w) => {
            preferSecond(w);
            w.passTime(31);
          },
        }),
      ],
    },
    {
      does: `${v}: each new connection renews the affinity`,
      given,
      steps: [
        connects(one),
        connects(one, {
          before: (w) => {
            preferSecond(w);
            w.passTime(20);
          },
          hit: true,
        }),
        connects(one, { before: (w) => w.passTime(20), hit: true }),
      ],
    },
    {
      does: `${v}: a backend that is not usable any more is left at once, and the new one remembered`,
      given,
      steps: [
        connects(one),
        connects(two, { before: (w) => only(w, 1) }),
        connects(two, { before: (w) => w.made[0]?.choose([0, 1]), hit: true }),
      ],
    },
    {
      does: `${v}: a backend id that was given out again is not the remembered one`,
      given,
      steps: [
        connects(one),
        connects(two, {
          before: (w) => {
            w.made[0]?.recycleBackend(0, b.at(b.remote2, 1));
            w.made[0]?.choose([1]);
          },
        }),
      ],
    },
    {
      does: `${v}: services without affinity remember nothing`,
      given: (w) => {
        w.service({ at: service, backends });
      },
      steps: [
        connects(one, {
          after: (w) => {
            if (w.affinity.entries().length > 0) throw new Error('there is an affinity entry');
          },
        }),
        connects(two, { before: preferSecond }),
      ],
    },
    {
      does: `${v}: UDP renews it with each new flow as well`,
      given: (w) => {
        w.service({ at: service, proto: 'udp', affinity: 30, backends });
      },
      steps: [0, 1].map((i) => {
        const p = udp(b.at(b.pod1, 50000 + i), service, { payload: 'query' });
        return podSends({
          ...(i === 1 ? { before: preferSecond } : {}),
          in: p,
          verdict: 'TCX_NEXT',
          out: readdress(p, { dst: one }),
          paths: { LOCAL: 1 },
          services: {
            1: { new_flows: 1, packets: 1, bytes: l3(p), ...(i === 1 ? { affinity_hits: 1 } : {}) },
          },
        });
      }),
    },
    {
      does: `${v}: it never overrides externalTrafficPolicy Local`,
      given: (w) => {
        w.service({ at: b.nodePort(30080), externalPolicy: 'Local', affinity: 30, backends: [two, one] });
      },
      steps: [
        // As a pod the client used the whole list and got the backend elsewhere.
        connects(two, { from: b.client, at: b.at(b.node, 30080) }),
        (() => {
          const p = tcp(b.at(b.client, 60000), b.at(b.node, 30080), { flags: 'S' });
          return wireSends({
            in: p,
            verdict: 'TCX_NEXT',
            out: readdress(p, { dst: one }),
            paths: { LOCAL: 1 },
            services: first(p),
          });
        })(),
      ],
    },
  ];
}

function ranges(b: Book): Row[] {
  const v = `v${b.family}`;
  const at = b.at(b.lb, 443);
  const backend = b.at(b.pod2, 8080);
  const any = b.family === 4 ? '0.0.0.0/0' : '::/0';
  const from = (ip: string) => tcp(b.at(ip, 40000), at, { flags: 'S' });
  const passes = (ip: string, send = wireSends): Step =>
    send({
      in: from(ip),
      verdict: 'TCX_NEXT',
      out: readdress(from(ip), { dst: backend }),
      paths: { LOCAL: 1 },
      services: first(from(ip)),
    });
  const dropped = (ip: string, send = wireSends): Step =>
    send({
      in: from(ip),
      verdict: 'TC_ACT_SHOT',
      drops: { SOURCE_RANGE: 1 },
      services: { 1: { dropped: 1 } },
      flows: [],
    });
  const guarded =
    (list: string[], o: { backends?: string[]; nodeAllowed?: boolean } = {}): Given =>
    (w) => {
      w.service({ at, type: 'LoadBalancer', ranges: list, backends: [backend], ...o });
    };
  return [
    {
      does: `${v}: a client in the source ranges passes`,
      given: guarded([b.clientRange]),
      steps: [passes(b.client)],
    },
    {
      does: `${v}: a client outside them is dropped`,
      given: guarded([b.clientRange]),
      steps: [dropped(b.client2)],
    },
    {
      does: `${v}: they hold for pods as well`,
      given: guarded([b.clientRange]),
      steps: [dropped(b.pod1, podSends)],
    },
    {
      does: `${v}: a pod that they contain passes`,
      given: guarded([b.clientRange, b.podRange]),
      steps: [passes(b.pod1, podSends)],
    },
    {
      does: `${v}: a range of everything lets everybody in`,
      given: guarded([any]),
      steps: [passes(b.client2)],
    },
    { does: `${v}: an empty set lets nobody in`, given: guarded([]), steps: [dropped(b.client)] },
    {
      does: `${v}: of two ranges the longer one does not exclude what the shorter contains`,
      given: guarded([any, b.clientRange]),
      steps: [passes(b.client2), passes(b.client)],
    },
    {
      does: `${v}: a client that they do not contain is dropped, not refused, when there is no backend`,
      given: guarded([b.clientRange], { backends: [] }),
      steps: [dropped(b.client2)],
    },
    {
      does: `${v}: the node itself is kept out`,
      given: guarded([b.clientRange]),
      steps: [dropped(b.node, nodeSends)],
    },
    {
      does: `${v}: the node itself passes when a range contains it`,
      given: guarded([b.clientRange], { nodeAllowed: true }),
      steps: [
        nodeSends({
          in: from(b.node),
          verdict: 'TC_ACT_REDIRECT',
          out: readdress(from(b.node), { dst: backend }),
          paths: { NODE_EGRESS: 1 },
          services: first(from(b.node)),
        }),
      ],
    },
    {
      does: `${v}: a service without ranges is open beside one with ranges`,
      given: (w) => {
        guarded([b.clientRange])(w);
        w.service({ at: b.at(b.lb, 80), type: 'LoadBalancer', backends: [backend] });
      },
      steps: [
        wireSends({
          in: tcp(b.at(b.client2, 40000), b.at(b.lb, 80), { flags: 'S' }),
          verdict: 'TCX_NEXT',
          out: tcp(b.at(b.client2, 40000), backend, { flags: 'S' }),
          paths: { LOCAL: 1 },
          services: true,
        }),
      ],
    },
  ];
}

packetTable('affinity', BOOKS.flatMap(affinity));
packetTable('source ranges', BOOKS.flatMap(ranges));
