import { BOOKS, type Book } from '../support/packet/addresses.js';
import { readdress, tcp, udp } from '../support/packet/index.js';
import { answer, first, more, nodeSends, podSends, wireGets, wireSends } from '../support/packet/steps.js';
import { flowPair, type Given, packetTable, type Row, type Step } from '../support/packet/table.js';

const NODE = 'RESTORE_INGRESS NODE_CLIENT';

function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  return (['tcp', 'udp'] as const).flatMap((proto): Row[] => {
    const table = proto === 'tcp' ? 'half_open' : 'any';
    const client = b.at(b.node, 40000);
    const service = b.at(b.vip, 80);
    const there = b.at(b.remote, 8080);
    const here = b.at(b.pod1, 8080);
    const open =
      proto === 'tcp'
        ? tcp(client, service, { flags: 'S', seq: 1000 })
        : udp(client, service, { payload: 'query' });
    const reply = (from: string) =>
      proto === 'tcp'
        ? tcp(from, client, { flags: 'SA', seq: 5000, ack: 1001 })
        : udp(from, client, { payload: 'answer' });
    const goes = (backend: string, o: Partial<Step> = {}): Step =>
      nodeSends({
        in: open,
        verdict: 'TC_ACT_REDIRECT',
        out: readdress(open, { dst: backend }),
        paths: { NODE_EGRESS: 1 },
        services: first(open),
        flows: flowPair({ table, proto, from: client, to: service, backend, flags: NODE }),
        ...o,
      });
    const returns = (backend: string, send = wireSends): Step =>
      send({
        in: reply(backend),
        verdict: 'TCX_NEXT',
        out: readdress(reply(backend), { src: service }),
        paths: { NODE_REPLY: 1 },
        services: answer(reply(backend)),
        flows: flowPair({ table, proto, from: client, to: service, backend, flags: `${NODE} SEEN_REPLY` }),
      });
    const given =
      (backend: string): Given =>
      (w) => {
        w.service({ at: service, proto, backends: [backend] });
      };
    const name = `${proto} ${v}`;
    return [
      {
        does: `${name}: what a socket of this node sends to a service leaves for a backend elsewhere`,
        given: given(there),
        steps: [goes(there), goes(there, { services: more(open) })],
      },
      {
        does: `${name}: the answer is restored where it arrives and handed up`,
        given: given(there),
        steps: [goes(there), returns(there)],
      },
      {
        does: `${name}: a backend on this node is sent to by its own device, and its answer restored there`,
        given: given(here),
        steps: [goes(here), returns(here, podSends)],
      },
      {
        does: `${name}: the answer may come by another device`,
        given: given(there),
        steps: [goes(there), { ...returns(there), on: 'uplink2' }],
      },
      {
        does: `${name}: externalTrafficPolicy Local is no limit for this node`,
        given: (w) => {
          w.service({
            at: b.at(b.lb, 80),
            type: 'LoadBalancer',
            proto,
            externalPolicy: 'Local',
            backends: [there],
          });
        },
        steps: [
          nodeSends({
            in: readdress(open, { dst: b.at(b.lb, 80) }),
            verdict: 'TC_ACT_REDIRECT',
            out: readdress(open, { dst: there }),
            paths: { NODE_EGRESS: 1 },
            services: first(open),
          }),
        ],
      },
      {
        does: `${name}: what is only routed through this node is left alone where it leaves`,
        given: given(there),
        steps: [
          wireGets({
            in: readdress(open, { src: b.at(b.pod1, 40000) }),
            verdict: 'TCX_NEXT',
            out: 'unchanged',
            flows: [],
          }),
        ],
      },
      {
        does: `${name}: a backend without a route is dropped`,
        given: given(b.at(b.nowhere, 80)),
        steps: [nodeSends({ in: open, verdict: 'TC_ACT_SHOT', drops: { NO_ROUTE: 1 }, services: true })],
      },
      {
        does: `${name}: this node has one affinity whatever address it uses`,
        given: (w) => {
          w.service({ at: service, proto, affinity: 30, backends: [there, here] });
        },
        steps: [
          goes(there),
          nodeSends({
            before: (w) => w.made[0]?.choose([1, 0]),
            in: readdress(open, { src: b.at(b.node2nd, 40000) }),
            verdict: 'TC_ACT_REDIRECT',
            out: readdress(open, { src: b.at(b.node2nd, 40000), dst: there }),
            paths: { NODE_EGRESS: 1 },
            services: true,
          }),
        ],
      },
      {
        does: `${name}: a backend that is this node itself serves the outside, its answer restored where it leaves`,
        given: (w) => {
          w.service({ at: b.nodePort(30080), proto, backends: [b.at(b.node, 8080)] });
        },
        steps: (() => {
          const outside = b.at(b.client, 40000);
          const entry = b.at(b.node, 30080);
          const asked = readdress(open, { src: outside, dst: entry });
          const said =
            proto === 'tcp'
              ? tcp(b.at(b.node, 8080), outside, { flags: 'SA', seq: 1, ack: 1001 })
              : udp(b.at(b.node, 8080), outside, { payload: 'answer' });
          return [
            wireSends({
              in: asked,
              verdict: 'TCX_NEXT',
              out: readdress(asked, { dst: b.at(b.node, 8080) }),
              paths: { LOCAL: 1 },
              services: first(asked),
            }),
            nodeSends({
              in: said,
              verdict: 'TCX_NEXT',
              out: readdress(said, { src: entry }),
              paths: { REPLY_EGRESS: 1 },
              services: answer(said),
            }),
          ];
        })(),
      },
    ];
  });
}

packetTable('a socket of this node and a service', BOOKS.flatMap(cases));
