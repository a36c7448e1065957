import {
  SETTING_CLUSTER_CIDRS,
  SETTING_FIXED_CHOICE,
  SETTING_READ_ONLY,
  SETTING_SERVICE_CIDRS,
} from '../../src/abi/index.js';
import { BOOKS, type Book } from '../support/packet/addresses.js';
import { hop, icmpError, readdress, tcp, udp } from '../support/packet/index.js';
import { first, podSends, viaNode2, wireSends } from '../support/packet/steps.js';
import { type Given, packetTable, type Row } from '../support/packet/table.js';

const RANGE_SET_CLUSTER = 0xffffffff;
const RANGE_SET_SERVICE = 0xfffffffe;

packetTable(
  'read-only: the verdict and the packet without a trace',
  BOOKS.flatMap((b): Row[] => {
    const v = `v${b.family}`;
    const syn = tcp(b.at(b.pod1, 40000), b.at(b.vip, 80), { flags: 'S' });
    const outside = tcp(b.at(b.client, 40000), b.at(b.node, 30080), { flags: 'S' });
    const query = udp(b.at(b.pod1, 40000), b.at(b.vip2, 53), { payload: 'query' });
    const noAffinity: Row['steps'][0]['after'] = (w) => {
      if (w.affinity.entries().length > 0) throw new Error('there is an affinity entry');
      if (w.frags.entries().length > 0) throw new Error('there is a fragment entry');
    };
    return [
      {
        does: `${v}: pod -> cluster IP`,
        given: (w) => {
          w.service({ at: b.at(b.vip, 80), affinity: 30, backends: [b.at(b.pod2, 8080)] });
        },
        steps: [
          podSends({
            in: syn,
            verdict: 'TCX_NEXT',
            out: readdress(syn, { dst: b.at(b.pod2, 8080) }),
            flows: [],
            after: noAffinity,
          }),
        ],
      },
      {
        does: `${v}: outside -> NodePort -> another node`,
        given: (w) => {
          w.service({ at: b.nodePort(30080), backends: [b.at(b.remote, 8080)] });
        },
        steps: [
          wireSends({
            in: outside,
            verdict: 'TC_ACT_REDIRECT',
            out: hop(readdress(outside, { src: b.at(b.node, 20000), dst: b.at(b.remote, 8080) })),
            frame: viaNode2,
            flows: [],
          }),
        ],
      },
      {
        does: `${v}: a refusal`,
        given: (w) => {
          w.service({ at: b.at(b.vip2, 53), proto: 'udp' });
        },
        steps: [
          podSends({
            in: query,
            verdict: 'TC_ACT_REDIRECT',
            out: icmpError('port-unreachable', b.vip2, b.pod1, query, {
              ip: b.family === 4 ? { id: 0 } : {},
            }),
            frame: 'swapped',
            flows: [],
          }),
        ],
      },
      {
        does: `${v}: a drop`,
        given: (w) => {
          w.service({ at: b.at(b.vip, 80), internalPolicy: 'Local', backends: [b.at(b.remote, 8080)] });
        },
        steps: [podSends({ in: syn, verdict: 'TC_ACT_SHOT', flows: [] })],
      },
    ];
  }),
  { flags: SETTING_FIXED_CHOICE | SETTING_READ_ONLY },
);

packetTable(
  'cluster and service ranges',
  BOOKS.flatMap((b: Book): Row[] => {
    const v = `v${b.family}`;
    const cidr = (net4: string, net6: string) => (b.family === 4 ? net4 : net6);
    const given: Given = (w) => {
      w.sourceRanges(RANGE_SET_CLUSTER, [cidr('10.244.0.0/16', 'fd00:10:244::/48')]);
      w.sourceRanges(RANGE_SET_SERVICE, [cidr('10.96.0.0/12', 'fd00:10:96::/108')]);
      w.service({ at: b.nodePort(30080), externalPolicy: 'Local', backends: [b.at(b.remote, 8080)] });
      w.service({ at: b.nodePort(30081), externalPolicy: 'Local', backends: [b.at(b.pod2, 8080)] });
      w.service({ at: b.at(b.vip, 80), backends: [b.at(b.pod2, 8080)] });
    };
    const podElsewhere = tcp(b.at(b.remote2, 40000), b.at(b.node, 30080), { flags: 'S' });
    const nobody = tcp(b.at(b.pod1, 40000), b.at(cidr('10.96.9.9', 'fd00:10:96::9999'), 80), { flags: 'S' });
    return [
      {
        does: `${v}: a pod of another node uses the whole list in spite of externalTrafficPolicy Local`,
        given,
        steps: [
          wireSends({
            in: podElsewhere,
            verdict: 'TC_ACT_REDIRECT',
            out: hop(readdress(podElsewhere, { src: b.at(b.node, 20000), dst: b.at(b.remote, 8080) })),
            frame: viaNode2,
            paths: { REMOTE_TC: 1 },
            services: first(podElsewhere),
          }),
        ],
      },
      {
        does: `${v}: its address is kept when the backend is on this node`,
        given,
        steps: [
          wireSends({
            in: readdress(podElsewhere, { dst: b.at(b.node, 30081) }),
            verdict: 'TCX_NEXT',
            out: readdress(podElsewhere, { dst: b.at(b.pod2, 8080) }),
            paths: { LOCAL: 1 },
            services: true,
          }),
        ],
      },
      {
        does: `${v}: anybody else is bound by it`,
        given,
        steps: [
          wireSends({
            in: readdress(podElsewhere, { src: b.at(b.client, 40000) }),
            verdict: 'TC_ACT_SHOT',
            drops: { NO_LOCAL_BACKEND: 1 },
            services: true,
          }),
        ],
      },
      {
        does: `${v}: an address of the service range that nobody has is dropped`,
        given,
        steps: [
          podSends({ in: nobody, verdict: 'TC_ACT_SHOT', drops: { UNKNOWN_SERVICE_IP: 1 }, flows: [] }),
        ],
      },
      {
        does: `${v}: an address beside the range passes`,
        given,
        steps: [
          podSends({
            in: readdress(nobody, { dst: b.at(cidr('10.200.9.9', 'fd00:10:97::9'), 80) }),
            verdict: 'TCX_NEXT',
            out: 'unchanged',
            flows: [],
          }),
        ],
      },
    ];
  }),
  { flags: SETTING_FIXED_CHOICE | SETTING_CLUSTER_CIDRS | SETTING_SERVICE_CIDRS },
);
