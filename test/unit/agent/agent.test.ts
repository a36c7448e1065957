import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Agent } from '../../../src/agent/agent.js';
import type { HookPort, LinkHandle, PinDirectory } from '../../../src/agent/hook-port.js';
import type { NetlinkPort } from '../../../src/agent/host.js';
import { type AgentOptionsInput, completeAgentOptions } from '../../../src/agent/options.js';
import type { Delta } from '../../../src/agent/updater.js';
import type { Source, SourceSink } from '../../../src/kube/source.js';
import type { DesiredService } from '../../../src/model/desired.js';
import { Model } from '../../../src/model/index.js';
import type { EndpointSliceObject, NodeObject, ServiceObject } from '../../../src/model/objects.js';

const service: ServiceObject = {
  namespace: 'default',
  name: 'web',
  creationTimestampMs: 0,
  type: 'ClusterIP',
  clusterIPs: ['10.96.0.10'],
  headless: false,
  ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0 }],
  externalTrafficPolicy: 'Cluster',
  internalTrafficPolicy: 'Cluster',
  sessionAffinity: { mode: 'None' },
  externalIPs: [],
  loadBalancerIngress: [],
  loadBalancerSourceRanges: [],
  healthCheckNodePort: 0,
  publishNotReadyAddresses: false,
  annotations: {},
};
const slice: EndpointSliceObject = {
  namespace: 'default',
  name: 'web-1',
  serviceName: 'web',
  addressType: 'IPv4',
  headless: false,
  ports: [{ name: '', protocol: 'TCP', port: 8080 }],
  endpoints: [{ addresses: ['10.244.1.10'], nodeName: 'node1' }],
};
const node: NodeObject = {
  name: 'node1',
  labels: {},
  internalIPs: ['10.0.0.1'],
  podCIDRs: [],
  taints: [],
  deleting: false,
};

/** Everything but the agent itself and the model is a fake that writes down what happens to it. */
function setup(more: Partial<AgentOptionsInput> = {}) {
  const events: string[] = [];
  const lines: { msg: string; level: string }[] = [];
  const log = pino(
    { base: null, timestamp: false, formatters: { level: (level) => ({ level }) } },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  );
  let sink: SourceSink | undefined;
  const source: Source = {
    start: (given) => {
      events.push('source start');
      sink = given;
    },
    stop: async () => void events.push('source stop'),
  };
  const programmer = {
    restore: async () => void events.push('restore'),
    apply: async (delta: Delta<DesiredService>) => {
      events.push(`apply ${delta.upserts.map((s) => `${s.id} x${s.backends.length}`)} -${delta.removals}`);
      return 1;
    },
    reconcile: async (services: DesiredService[]) => {
      events.push(`reconcile ${services.map((s) => s.id)}`);
      return services.length;
    },
    setNodeAddresses: async () => 1,
  };
  const netlink = {
    dumpLinks: async () => [{ ifindex: 2, name: 'eth0', flags: 1, up: true, mtu: 1500 }],
    dumpAddresses: async () => [
      { ifindex: 2, family: 4, address: '10.0.0.1', prefixLength: 24, scope: 0, flags: 0 },
    ],
    dumpRoutes: async () => [],
    dumpNeighbours: async () => [],
    onLink: () => {},
    onAddress: () => {},
    onRoute: () => {},
    onNeighbour: () => {},
    onOverflow: () => {},
    close: () => void events.push('netlink close'),
  } as NetlinkPort;
  const pinned: string[] = [];
  const link: LinkHandle<string> = {
    info: { id: 1, progId: 1, ifindex: 2 },
    update: () => {},
    pin: (path) => void pinned.push(path),
    detach: () => void events.push('detach'),
    close: () => {},
  };
  const hooks = {
    tcx: true,
    openPinned: () => link,
    attachTcx: () => link,
    attachXdp: () => link,
    attachCgroup: () => link,
  } as unknown as HookPort<string>;
  const pins: PinDirectory = { list: () => pinned, path: (name) => name, remove: () => {} };
  const options = completeAgentOptions({
    source: { kind: 'in-cluster' },
    nodeName: 'node1',
    replaceKubeProxy: true,
    ...more,
  });
  const agent = new Agent<string>({
    options,
    source,
    model: new Model({ nodeName: options.nodeName, serveAll: options.replaceKubeProxy }),
    programmer,
    tables: {
      readDevices: () => new Map(),
      setDevices: () => {},
      setSnatSources: () => {},
      setXdpDevices: () => {},
      raiseFibGeneration: () => {},
      heartbeat: () => {},
      setTakeover: () => {},
      holdFlows: () => {},
      beginFlows: () => {},
    },
    netlink,
    hooks,
    pins,
    program: (name) => name,
    cgroupPath: '/cg',
    cgroupId: () => 1n,
    sweepFlows: async () => 0,
    readListeners: () => [],
    restorePins: () => [],
    log,
  });
  return { agent, events, lines, pinned, sink: () => sink as SourceSink };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 25));

describe('Agent', () => {
  it('serves once everything has been listed, then only writes differences', async () => {
    const { agent, events, lines, pinned, sink } = setup();
    await agent.start();
    sink().changes([{ kind: 'Node', key: 'node1', object: node }]);
    sink().changes([{ kind: 'Service', key: 'default/web', object: service }]);
    await settle();
    expect(events).toEqual(['source start']);
    expect(pinned).toContain('tc_ingress@eth0');
    sink().changes([{ kind: 'EndpointSlice', key: 'default/web-1', object: slice }]);
    sink().synced();
    await settle();
    expect(events.slice(1)).toEqual(['restore', 'reconcile default/web:/TCP/IPv4']);
    expect(lines.filter((line) => line.msg === 'serving')).toHaveLength(1);
    sink().changes([{ kind: 'EndpointSlice', key: 'default/web-1', object: undefined }]);
    await settle();
    expect(events.slice(3)).toEqual(['apply default/web:/TCP/IPv4 x0 -']);
    const status = agent.status();
    expect(status).toMatchObject({ serving: true, nodeKnown: true, services: 1 });
    expect(status.counters).toMatchObject({ events: 4, fullResyncs: 1, applies: 2, applyErrors: 0 });
    expect(status.latencyMs.samples).toBe(1);
    expect(status.devices).toEqual([
      {
        ifindex: 2,
        name: 'eth0',
        class: 'uplink',
        hooks: [
          { hook: 'tc_egress', program: 'tc_uplink_out', how: 'tcx' },
          { hook: 'tc_ingress', program: 'tc_uplink_in', how: 'tcx' },
          { hook: 'xdp', program: 'xdp_uplink', how: 'xdp' },
        ],
      },
    ]);
    await agent.stop();
  });

  it('leaves everything attached when it stops', async () => {
    const { agent, events, sink } = setup();
    await agent.start();
    sink().synced();
    await settle();
    await agent.stop();
    expect(events.slice(-2)).toEqual(['netlink close', 'source stop']);
    expect(events).not.toContain('detach');
  });

  it('says so when nobody knows its node', async () => {
    const { agent, lines, sink } = setup({ nodeName: 'nod1' });
    await agent.start();
    sink().changes([{ kind: 'Node', key: 'node1', object: node }]);
    sink().synced();
    await settle();
    expect(lines.find((line) => line.msg.startsWith('find Node nod1'))?.msg).toMatch(/--hostname-override/);
    expect(lines.some((line) => line.msg === 'serving')).toBe(true);
    await agent.stop();
  });

  it('passes warnings of sources and model on with the name of the object, once', async () => {
    const { agent, lines, sink } = setup();
    await agent.start();
    for (let i = 0; i < 3; i++) {
      sink().warning({ object: 'file 01-web.yaml', field: 'spec.ports[0].port', message: 'is no number' });
    }
    sink().changes([
      {
        kind: 'EndpointSlice',
        key: 'default/web-1',
        object: { ...slice, endpoints: [{ addresses: ['127.0.0.1'] }] },
      },
      { kind: 'Service', key: 'default/web', object: service },
    ]);
    sink().synced();
    await settle();
    const warnings = lines.filter((line) => line.level === 'warn' && 'object' in line);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatchObject({
      object: 'file 01-web.yaml',
      field: 'spec.ports[0].port',
      msg: 'is no number',
    });
    await agent.stop();
  });

  it('detaches socket hooks that an earlier agent left when they are switched off', async () => {
    const { agent, events, pinned } = setup({ socketLb: 'off' });
    pinned.push('sk_connect4');
    await agent.start();
    expect(events[0]).toBe('detach');
    await agent.stop();
  });
});
