import * as abi from '../../../src/abi/index.js';
import { backend, FakeReader, flow, frontend, meta, NOW_NS, slotRun, tuple } from './fake.js';

const exact = (addr: string, port: number, proto = 6) => ({
  addr,
  port,
  proto,
  kind: abi.FRONTEND_KIND_EXACT,
});
const nodePort = (port: number, family: 4 | 6) => ({
  addr: '::',
  port,
  proto: 6,
  kind: family === 4 ? abi.FRONTEND_KIND_NODEPORT4 : abi.FRONTEND_KIND_NODEPORT6,
});

const PAST = abi.CT_F_PAST_STACK;
const ESTABLISHED = abi.CT_F_ESTABLISHED | abi.CT_F_SEEN_REPLY;

/**
 * default/coffee: a NodePort service with `Local`, two backends of which one is on this node;
 * default/sticky: affinity, one usable and one terminating backend; kube-system/kube-dns: UDP, nobody behind it;
 * default/coffee in IPv6 as a service port of its own.
 */
export function sampleReader(): FakeReader {
  return new FakeReader(
    {
      meta_services: [
        [1, meta('default', 'coffee', 'http')],
        [2, meta('default', 'sticky', '', { affinity: 1, affinity_timeout_s: 10800 })],
        [3, meta('kube-system', 'kube-dns', 'dns', { proto: 17 })],
        [4, meta('default', 'coffee', 'http', { family: 6 })],
      ],
      meta_localities: [
        [1, { node_name: 'node1', zone: 'a' }],
        [2, { node_name: 'node2', zone: '' }],
      ],
      lb_backends: [
        [3, backend('10.244.10.3', 9090, 2, { state: 1 | 4 | 8, locality_id: 2 })],
        [2, backend('10.244.2.2', 9090, 1, { locality_id: 2 })],
        [
          1,
          backend('10.244.1.2', 9090, 1, {
            state: 0x607 | abi.BACKEND_F_ON_NODE | abi.BACKEND_F_IN_INTERNAL,
            locality_id: 1,
          }),
        ],
        [4, backend('10.244.9.3', 9090, 2, { locality_id: 1, generation: 7 })],
        [5, backend('fd00:244::2', 9090, 4, { locality_id: 1 })],
        [6, backend('10.9.9.9', 1, 1, { state: 0 })],
      ],
      lb_frontends: [
        [
          nodePort(30391, 6),
          frontend(4, abi.FRONTEND_NODE_PORT, { internal: slotRun(5, 1), external: slotRun(5, 1) }),
        ],
        [
          nodePort(30391, 4),
          frontend(1, abi.FRONTEND_NODE_PORT, {
            internal: slotRun(1, 2),
            external: slotRun(3, 1),
            flags: abi.FRONTEND_F_EXTERNAL_LOCAL | abi.FRONTEND_F_EXTERNAL_DROP,
          }),
        ],
        [
          exact('10.96.0.20', 80),
          frontend(1, abi.FRONTEND_CLUSTER_IP, {
            internal: slotRun(1, 2),
            external: slotRun(1, 2),
            flags: abi.FRONTEND_F_EXTERNAL_LOCAL,
          }),
        ],
        [exact('10.96.0.10', 53, 17), frontend(3, abi.FRONTEND_CLUSTER_IP)],
        [
          exact('192.0.2.127', 80),
          frontend(2, abi.FRONTEND_LOAD_BALANCER, {
            internal: slotRun(4, 1),
            flags: abi.FRONTEND_F_AFFINITY | abi.FRONTEND_F_EXTERNAL_DROP | abi.FRONTEND_F_EXTERNAL_LOCAL,
            affinity_timeout_s: 10800,
          }),
        ],
      ],
      stats_services: [
        [8 + 1, counters({ new_flows: 5n })],
        [8 + 7, counters({ new_flows: 2n, refused: 1n })],
        [16, counters({ dropped: 4n })],
      ],
      stats_backends: [[1, { new_flows: 6n }]],
      stats_paths: [
        [abi.PATH_REMOTE_XDP * 8, { packets: 3n, bytes: 300n }],
        [abi.PATH_REMOTE_XDP * 8 + 5, { packets: 4n, bytes: 400n }],
        [abi.PATH_LOCAL * 8, { packets: 1n, bytes: 60n }],
      ],
      stats_drops: [[abi.DROP_REASON_NO_LOCAL_BACKEND * 8 + 3, { packets: 2n }]],
      lb_config: [
        [
          0,
          {
            fib_generation: 4n,
            takeover_until_ns: 0n,
            agent_seen_ns: NOW_NS - 400_000_000n,
            layout_version: 1n,
          },
        ],
      ],
      lb_affinity: [
        [
          { client: '10.244.2.9', service_id: 2 },
          { last_used_ns: NOW_NS - 60_000_000_000n, backend_id: 4, backend_generation: 7 },
        ],
        [
          { client: '::', service_id: 2 },
          { last_used_ns: NOW_NS - 20_000_000_000_000n, backend_id: 4, backend_generation: 6 },
        ],
      ],
      ct_flows: [
        [
          tuple('198.51.100.7', 40000, '172.18.0.2', 30391),
          flow(
            tuple('10.244.2.2', 9090, '10.244.1.1', 10007, abi.CT_REPLY),
            PAST | ESTABLISHED | abi.CT_F_VIA_XDP,
          ),
        ],
        [
          tuple('10.244.2.2', 9090, '10.244.1.1', 10007, abi.CT_REPLY),
          flow(tuple('198.51.100.7', 40000, '172.18.0.2', 30391), PAST | ESTABLISHED, {
            packets: 7n,
            bytes: 70000n,
            last_seen_ns: NOW_NS - 500_000_000n,
          }),
        ],
      ],
      ct_half_open: [
        [
          tuple('10.244.1.5', 33333, '10.96.0.20', 80),
          flow(tuple('10.244.1.2', 9090, '10.244.1.5', 33333, abi.CT_REPLY), 0, { created_ns: NOW_NS }),
        ],
      ],
      ct_any: [
        [
          tuple('fd00:244::9', 5353, 'fd00:96::a', 53, 0, 17),
          flow(tuple('fd00:244::2', 53, 'fd00:244::9', 5353, abi.CT_REPLY, 17), 0, { service_id: 77 }),
        ],
      ],
    },
    [0, 1, 2, 1, 4, 5],
    [
      { hook: 'sk_connect4', type: 'cgroup', programId: 44, attached: true },
      { hook: 'xdp', device: 'eth0', type: 'xdp', programId: 43, attached: true },
      { hook: 'tc_ingress', device: 'eth0', type: 'tcx', programId: 42, attached: true },
      { hook: 'tc_ingress', device: 'veth7', type: 'tcx', programId: 41, attached: false },
    ],
  );
}

function counters(given: Partial<abi.StatsService>): abi.StatsService {
  return {
    new_flows: 0n,
    packets: 0n,
    bytes: 0n,
    reply_packets: 0n,
    reply_bytes: 0n,
    refused: 0n,
    dropped: 0n,
    affinity_hits: 0n,
    ...given,
  };
}
