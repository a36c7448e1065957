import type { BackendView, FlowView, FrontendView, ServiceRef } from '../../../src/datapath/views.js';
import { FakeLive, NOW_NS } from './fake.js';

const COFFEE: ServiceRef = { serviceId: 1, namespace: 'default', name: 'coffee', portName: 'http' };
const STICKY: ServiceRef = { serviceId: 2, namespace: 'default', name: 'sticky', portName: '' };
const DNS: ServiceRef = { serviceId: 3, namespace: 'kube-system', name: 'kube-dns', portName: 'dns' };
const COFFEE6: ServiceRef = { ...COFFEE, serviceId: 4 };
const GONE: ServiceRef = { serviceId: 77, namespace: '', name: '', portName: '' };

function backend(ref: ServiceRef, id: number, ip: string, more: Partial<BackendView> = {}): BackendView {
  return {
    ...ref,
    id,
    generation: id,
    ip,
    port: 9090,
    protocol: 'TCP',
    nodeName: 'node1',
    zone: 'a',
    ready: true,
    serving: true,
    terminating: false,
    local: false,
    scopes: ['internal', 'cluster'],
    newFlows: 0,
    ...more,
  };
}

const BACKENDS = {
  leaving: backend(STICKY, 3, '10.244.10.3', {
    ready: false,
    terminating: true,
    nodeName: 'node2',
    zone: '',
    scopes: [],
  }),
  remote: backend(COFFEE, 2, '10.244.2.2', { nodeName: 'node2', zone: '' }),
  local: backend(COFFEE, 1, '10.244.1.2', { local: true, newFlows: 6 }),
  sticky: backend(STICKY, 4, '10.244.9.3'),
  six: backend(COFFEE6, 5, 'fd00:244::2'),
};

function frontend(
  ref: ServiceRef,
  type: FrontendView['type'],
  ip: string,
  port: number,
  more: Partial<FrontendView> = {},
): FrontendView {
  return {
    ...ref,
    type,
    ip,
    port,
    protocol: 'TCP',
    family: 4,
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    affinity: { mode: 'None' },
    algorithm: 'random',
    whenEmpty: { internal: 'reject', external: 'reject' },
    backends: [],
    ...more,
  };
}

const both = (b: BackendView) => ({ ...b, usedFor: ['internal' as const, 'external' as const] });
const inside = (b: BackendView) => ({ ...b, usedFor: ['internal' as const] });
const unused = (b: BackendView) => ({ ...b, usedFor: [] });

function flow(
  ref: ServiceRef,
  table: FlowView['table'],
  [client, frontendEnd, backendEnd, source]: [
    FlowView['client'],
    FlowView['client'],
    FlowView['client'],
    FlowView['client'],
  ],
  more: Partial<FlowView>,
): FlowView {
  return {
    ...ref,
    table,
    protocol: 'TCP',
    client,
    frontend: frontendEnd,
    backend: { ...backendEnd, id: 1 },
    source,
    state: 'established',
    flags: [],
    ageSeconds: 90,
    idleSeconds: 2.5,
    packets: 10,
    bytes: 1000,
    replyPackets: 0,
    replyBytes: 0,
    ...more,
  };
}

const end = (ip: string, port: number) => ({ ip, port });

/**
 * default/coffee: a NodePort service with `Local`, two backends of which one is on this node, and IPv6;
 * default/sticky: affinity, one usable and one terminating backend; kube-system/kube-dns: UDP, nobody behind it.
 */
export function sampleLive(): FakeLive {
  const outside = end('198.51.100.7', 40000);
  const promoted: [typeof outside, typeof outside, typeof outside, typeof outside] = [
    outside,
    end('172.18.0.2', 30391),
    end('10.244.2.2', 9090),
    end('10.244.1.1', 10007),
  ];
  return new FakeLive({
    backends: Object.values(BACKENDS),
    frontends: [
      frontend(DNS, 'ClusterIP', '10.96.0.10', 53, { protocol: 'UDP' }),
      frontend(STICKY, 'LoadBalancer', '192.0.2.127', 80, {
        externalTrafficPolicy: 'Local',
        affinity: { mode: 'ClientIP', timeoutSeconds: 10800 },
        sourceRanges: ['198.51.100.0/24'],
        whenEmpty: { internal: 'reject', external: 'drop' },
        backends: [inside(BACKENDS.sticky), unused(BACKENDS.leaving)],
      }),
      frontend(COFFEE, 'ClusterIP', '10.96.0.20', 80, {
        externalTrafficPolicy: 'Local',
        backends: [both(BACKENDS.local), both(BACKENDS.remote)],
      }),
      frontend(COFFEE, 'NodePort', '*', 30391, {
        externalTrafficPolicy: 'Local',
        backends: [both(BACKENDS.local), inside(BACKENDS.remote)],
      }),
      frontend(COFFEE6, 'NodePort', '*', 30391, {
        family: 6,
        algorithm: 'maglev',
        backends: [both(BACKENDS.six)],
      }),
    ],
    counters: { 1: { newFlows: 7, refused: 1 }, 2: { dropped: 4 } },
    flows: [
      flow(
        GONE,
        'ct_any',
        [end('fd00:244::9', 5353), end('fd00:96::a', 53), end('fd00:244::2', 53), end('fd00:244::9', 5353)],
        {
          protocol: 'UDP',
          state: 'unreplied',
        },
      ),
      flow(COFFEE, 'ct_flows', promoted, {
        flags: ['past_stack', 'established', 'via_xdp'],
        idleSeconds: 0.5,
        replyPackets: 7,
        replyBytes: 70000,
      }),
      flow(COFFEE, 'ct_half_open', promoted, { state: 'half-open', flags: ['past_stack', 'via_xdp'] }),
      flow(
        COFFEE,
        'ct_half_open',
        [end('10.244.1.5', 33333), end('10.96.0.20', 80), end('10.244.1.2', 9090), end('10.244.1.5', 33333)],
        { state: 'half-open', ageSeconds: 0 },
      ),
    ],
    affinities: [
      {
        ...STICKY,
        client: '10.244.2.9',
        backend: { ip: '10.244.9.3', port: 9090, id: 4 },
        idleSeconds: 60,
        timeoutSeconds: 10800,
        valid: true,
      },
      { ...STICKY, client: '', backend: undefined, idleSeconds: 20000, timeoutSeconds: 10800, valid: false },
    ],
    paths: { local: [1, 60], remote_tc: [0, 0], remote_xdp: [7, 700] },
    drops: { no_local_backend: 2, stale: 0 },
    config: { agent_seen_ns: NOW_NS - 400_000_000n },
    tables: [
      { name: 'stats_paths', type: 2, keyBytes: 4, valueBytes: 16, maxEntries: 192, used: undefined },
      { name: 'lb_slots', type: 2, keyBytes: 4, valueBytes: 4, maxEntries: 2097152, used: 3 },
      { name: 'events', type: 27, keyBytes: 0, valueBytes: 0, maxEntries: 262144, used: undefined },
      { name: 'lb_config', type: 2, keyBytes: 4, valueBytes: 32, maxEntries: 1, used: 1 },
      { name: 'ct_flows', type: 1, keyBytes: 40, valueBytes: 128, maxEntries: 524288, used: 52429 },
    ],
    memory: { ct_flows: 4194304, events: 274624, lb_config: 4096 },
    entries: {
      meta_localities: [
        [10, { node_name: 'node10', zone: '' }],
        [2, { node_name: 'node2', zone: 'a' }],
      ],
      lb_affinity: [
        [
          { client: '::', service_id: 2 },
          { last_used_ns: 1n << 60n, backend_id: 4, backend_generation: 6 },
        ],
        [
          { client: '10.244.2.9', service_id: 2 },
          { last_used_ns: 99_940_000_000_000n, backend_id: 4, backend_generation: 7 },
        ],
      ],
    },
    links: [
      { hook: 'sk_connect4', type: 'cgroup', programId: 44, attached: true },
      { hook: 'xdp', device: 'eth0', type: 'xdp', programId: 43, attached: true },
      { hook: 'tc_ingress', device: 'eth0', type: 'tcx', programId: 42, attached: true },
      { hook: 'tc_ingress', device: 'veth7', type: 'tcx', programId: 41, attached: false },
    ],
  });
}
