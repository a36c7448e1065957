import { describe, expect, it } from 'vitest';
import { convert } from '../../../src/kube/convert.js';
import { renderPath } from '../../../src/kube/fields.js';
import { canonicalIp } from '../../../src/kube/ip.js';
import { isSameObject } from '../../../src/kube/same-object.js';

function service(spec: object, metadata: object = {}, status: object = {}): unknown {
  return { metadata: { name: 'web', namespace: 'shop', ...metadata }, spec, status };
}

/** `field: message` of everything wrong. */
function problems(conversion: ReturnType<typeof convert.Service>): string[] {
  return conversion.problems.map(({ path, message }) => `${renderPath(path)}: ${message}`);
}

describe('Service', () => {
  it('gets the defaults of the API server', () => {
    const conversion = convert.Service(service({ clusterIP: '10.96.0.1', ports: [{ port: 80 }] }));
    expect(conversion).toEqual({
      ok: true,
      key: 'shop/web',
      problems: [],
      object: {
        namespace: 'shop',
        name: 'web',
        creationTimestampMs: 0,
        type: 'ClusterIP',
        clusterIPs: ['10.96.0.1'],
        headless: false,
        ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0, targetPort: 80 }],
        externalTrafficPolicy: 'Cluster',
        internalTrafficPolicy: 'Cluster',
        sessionAffinity: { mode: 'None' },
        externalIPs: [],
        loadBalancerIngress: [],
        loadBalancerSourceRanges: [],
        healthCheckNodePort: 0,
        publishNotReadyAddresses: false,
        annotations: {},
      },
    });
  });

  it.each([
    [
      'a slash in the name',
      { name: 'a/b' },
      'metadata.name: is "a/b"; use lower case letters, digits, "-" and "." only',
    ],
    [
      'capitals',
      { name: 'Web' },
      'metadata.name: is "Web"; use lower case letters, digits, "-" and "." only',
    ],
    [
      'a blank in the namespace',
      { namespace: 'a b' },
      'metadata.namespace: is "a b"; use lower case letters, digits, "-" and "." only',
    ],
    ['a name of 254', { name: 'a'.repeat(254) }, 'metadata.name: has 254 characters; use 253 at most'],
    [
      '__proto__',
      { name: '__proto__' },
      'metadata.name: is "__proto__"; use lower case letters, digits, "-" and "." only',
    ],
  ])('is refused with %s', (_, metadata, problem) => {
    expect(problems(convert.Service(service({ clusterIP: '10.96.0.1' }, metadata)))).toEqual([problem]);
  });

  it('has one cluster IP of a family, and the same one in both fields', () => {
    const two = convert.Service(service({ clusterIPs: ['10.96.0.1', '10.96.0.2'], ports: [{ port: 80 }] }));
    expect(two).toMatchObject({ ok: true, object: { clusterIPs: ['10.96.0.1'] } });
    expect(problems(two)).toEqual([
      'spec.clusterIPs[1]: 10.96.0.2 is left out, 10.96.0.1 is of its family; remove one',
    ]);
    const other = { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.2'], ports: [{ port: 80 }] };
    expect(problems(convert.Service(service(other)))).toEqual([
      'spec.clusterIP: 10.96.0.1 does not count, clusterIPs[0] is 10.96.0.2; write the same in both',
    ]);
  });

  it('carries everything the model looks at, and unknown fields do no harm', () => {
    const conversion = convert.Service(
      service(
        {
          type: 'LoadBalancer',
          clusterIP: '10.96.0.1',
          clusterIPs: ['10.96.0.1', 'FD00:96:0::1'],
          ports: [
            { name: 'dns', port: 53, protocol: 'UDP', nodePort: 30053, targetPort: 'dns' },
            { name: 'dns-tcp', port: 53, targetPort: 5353, appProtocol: 'x', newField: {} },
          ],
          externalTrafficPolicy: 'Local',
          internalTrafficPolicy: 'Local',
          sessionAffinity: 'ClientIP',
          sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
          externalIPs: ['192.0.2.1', '192.0.2.010'],
          loadBalancerSourceRanges: [' 10.0.0.0/8 ', 'nonsense'],
          healthCheckNodePort: 32000,
          publishNotReadyAddresses: true,
          selector: { app: 'web' },
          fromTheFuture: [1, { a: null }],
        },
        {
          uid: 'u1',
          creationTimestamp: '2026-01-31T12:00:00Z',
          labels: { 'service.kubernetes.io/service-proxy-name': '' },
          annotations: { 'shunt.dev/algorithm': 'maglev', 'other.io/x': 'y' },
        },
        {
          loadBalancer: {
            ingress: [{ ip: '192.0.2.2' }, { ip: '192.0.2.3', ipMode: 'Proxy' }, { hostname: 'lb.example' }],
          },
        },
      ),
    );
    expect(conversion.problems).toEqual([]);
    expect(conversion.ok && conversion.object).toEqual({
      namespace: 'shop',
      name: 'web',
      uid: 'u1',
      creationTimestampMs: Date.UTC(2026, 0, 31, 12),
      type: 'LoadBalancer',
      clusterIPs: ['10.96.0.1', 'fd00:96::1'],
      headless: false,
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053, targetPort: 'dns' },
        { name: 'dns-tcp', protocol: 'TCP', port: 53, nodePort: 0, targetPort: 5353 },
      ],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
      sessionAffinity: { mode: 'ClientIP', timeoutSeconds: 60 },
      externalIPs: ['192.0.2.1', '192.0.2.10'],
      loadBalancerIngress: [
        { ip: '192.0.2.2' },
        { ip: '192.0.2.3', ipMode: 'Proxy' },
        { hostname: 'lb.example' },
      ],
      loadBalancerSourceRanges: [' 10.0.0.0/8 ', 'nonsense'],
      healthCheckNodePort: 32000,
      publishNotReadyAddresses: true,
      proxyName: '',
      annotations: { 'shunt.dev/algorithm': 'maglev' },
      selector: { app: 'web' },
    });
  });

  it('has an affinity timeout of three hours by default', () => {
    const conversion = convert.Service(service({ sessionAffinity: 'ClientIP', ports: [{ port: 1 }] }));
    expect(conversion.ok && conversion.object.sessionAffinity).toEqual({
      mode: 'ClientIP',
      timeoutSeconds: 10_800,
    });
  });

  it.each([
    ['clusterIP None', { clusterIP: 'None' }],
    ['clusterIPs None', { clusterIPs: ['None'] }],
    ['an empty clusterIP', { clusterIP: '', ports: [{ port: 1 }] }],
    ['no clusterIP', { ports: [{ port: 1 }] }],
  ])('is headless with %s', (_what, spec) => {
    const conversion = convert.Service(service(spec));
    expect(conversion.ok && conversion.object).toMatchObject({ headless: true, clusterIPs: [] });
    expect(conversion.problems).toEqual([]);
  });

  it.each([
    ['service.kubernetes.io/topology-mode', 'Auto'],
    ['service.kubernetes.io/topology-aware-hints', 'Disabled'],
  ])('is the same with the old annotation %s', (annotation, value) => {
    const plain = convert.Service(service({ clusterIP: '10.96.0.1', ports: [{ port: 80 }] }));
    const annotated = service(
      { clusterIP: '10.96.0.1', ports: [{ port: 80 }] },
      { annotations: { [annotation]: value } },
    );
    expect(plain.ok).toBe(true);
    expect(convert.Service(annotated)).toEqual(plain);
  });

  it('of type ExternalName is accepted with nothing else in it', () => {
    const conversion = convert.Service(service({ type: 'ExternalName', externalName: 'db.example.com' }));
    expect(conversion).toMatchObject({
      ok: true,
      problems: [],
      object: { type: 'ExternalName', headless: false },
    });
  });

  it.each<[string, unknown, string]>([
    ['no name', { metadata: {} }, 'metadata.name: is missing; set it'],
    ['no mapping', 'web', ': must be a mapping, is the text "web"; indent its fields below it'],
    [
      'ports as mapping',
      service({ ports: { port: 1 } }),
      'spec.ports: must be a list, is a mapping; write one "- " per entry',
    ],
    [
      'port missing',
      service({ ports: [{}] }),
      'spec.ports[0].port: is missing; set it to the port clients use',
    ],
    [
      'port as text',
      service({ ports: [{ port: '80' }] }),
      'spec.ports[0].port: must be a whole number, is the text "80"; write it without quotes',
    ],
    ['port 0', service({ ports: [{ port: 0 }] }), 'spec.ports[0].port: is 0; use a number from 1 to 65535'],
    [
      'targetPort in quotes',
      service({ ports: [{ port: 80, targetPort: '8080' }] }),
      'spec.ports[0].targetPort: is a number in quotes, which would name a port; remove the quotes',
    ],
    [
      'protocol',
      service({ ports: [{ port: 80, protocol: 'tcp' }] }),
      'spec.ports[0].protocol: is "tcp"; use one of TCP, UDP, SCTP',
    ],
    [
      'type',
      service({ type: 'clusterip' }),
      'spec.type: is "clusterip"; use one of ClusterIP, NodePort, LoadBalancer, ExternalName',
    ],
    [
      'policy',
      service({ externalTrafficPolicy: 'local' }),
      'spec.externalTrafficPolicy: is "local"; use one of Cluster, Local',
    ],
    [
      'cluster IP',
      service({ clusterIP: '10.96.0' }),
      'spec.clusterIP: is "10.96.0"; use an IP address or None',
    ],
    [
      'unnamed ports',
      service({ ports: [{ name: 'a', port: 1 }, { port: 2 }] }),
      'spec.ports[1].name: is missing; every port needs a name when there is more than one',
    ],
    [
      'a name twice',
      service({
        ports: [
          { name: 'a', port: 1 },
          { name: 'a', port: 2 },
        ],
      }),
      'spec.ports[1].name: a is used twice; rename one port',
    ],
    [
      'a port twice',
      service({
        ports: [
          { name: 'a', port: 1 },
          { name: 'b', port: 1 },
        ],
      }),
      'spec.ports[1].port: 1/TCP is used twice; remove one of the two ports',
    ],
    [
      'timeout',
      service({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } }),
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds: is 0; use a number from 1 to 86400',
    ],
    [
      'selector',
      service({ selector: { app: 1 } }),
      'spec.selector.app: must be text, is the number 1; put it in quotes',
    ],
    [
      'label',
      service({}, { labels: { 'a/b': true } }),
      'metadata.labels["a/b"]: must be text, is the boolean true; put it in quotes',
    ],
  ])('is rejected for a bad %s', (_what, raw, message) => {
    const conversion = convert.Service(raw);
    expect(conversion.ok).toBe(false);
    expect(problems(conversion)).toEqual([message]);
  });

  it('loses only what is wrong in a list of addresses', () => {
    const conversion = convert.Service(
      service(
        { clusterIP: '10.96.0.1', ports: [{ port: 80, nodePort: 30080 }], externalIPs: ['192.0.2.1', 'x'] },
        {},
        {
          loadBalancer: { ingress: [{ ip: 'y' }, { ip: '192.0.2.2' }] },
        },
      ),
    );
    expect(conversion.ok && conversion.object).toMatchObject({
      externalIPs: ['192.0.2.1'],
      loadBalancerIngress: [{ ip: '192.0.2.2' }],
      ports: [{ nodePort: 0 }],
    });
    expect(problems(conversion)).toEqual([
      'spec.ports[0].nodePort: has no effect on type ClusterIP; set spec.type: NodePort, or remove it',
      'spec.externalIPs[1]: "x" is no IP address and is left out; correct or remove it',
      'status.loadBalancer.ingress[0].ip: "y" is no IP address and is left out; correct or remove it',
    ]);
  });
});

describe('EndpointSlice', () => {
  const base = {
    metadata: { name: 's', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
  };

  it('keeps null apart from false, and the first address only', () => {
    const conversion = convert.EndpointSlice({
      ...base,
      addressType: 'IPv6',
      ports: [
        { name: null, port: null },
        { name: 'http', port: 80, protocol: 'UDP' },
      ],
      endpoints: [
        {
          addresses: ['FD00::1', 'fd00::2'],
          conditions: { ready: null, serving: false },
          nodeName: 'n',
          zone: 'z',
        },
        { addresses: ['fd00::3'], hints: { forZones: [{ name: 'a' }], forNodes: [] } },
      ],
    });
    expect(conversion).toEqual({
      ok: true,
      key: 'shop/s',
      problems: [],
      object: {
        namespace: 'shop',
        name: 's',
        serviceName: 'web',
        addressType: 'IPv6',
        headless: false,
        ports: [
          { name: '', protocol: 'TCP', port: null },
          { name: 'http', protocol: 'UDP', port: 80 },
        ],
        endpoints: [
          { addresses: ['fd00::1'], serving: false, nodeName: 'n', zone: 'z' },
          { addresses: ['fd00::3'], hintZones: ['a'] },
        ],
      },
    });
  });

  it('counts whatever its own label service-proxy-name says: that label is looked for on Services only', () => {
    const labelled = { ...base.metadata.labels, 'service.kubernetes.io/service-proxy-name': 'other' };
    const endpoints = [{ addresses: ['10.0.0.1'] }];
    const slice = { addressType: 'IPv4', ports: [{ port: 80 }], endpoints };
    const plain = convert.EndpointSlice({ ...base, ...slice });
    expect(plain.ok && plain.object.endpoints).toHaveLength(1);
    expect(convert.EndpointSlice({ metadata: { ...base.metadata, labels: labelled }, ...slice })).toEqual(
      plain,
    );
  });

  it('may have no ports and no endpoints, written as null', () => {
    const conversion = convert.EndpointSlice({ ...base, addressType: 'IPv4', ports: null, endpoints: null });
    expect(conversion).toMatchObject({ ok: true, object: { ports: [], endpoints: [] } });
  });

  it('leaves out an endpoint with an address that is none or of another family, and keeps the others', () => {
    const endpoints = [['10.0.0.1'], ['fd00::1'], [], ['pod.example'], ['10.0.0.2']].map((addresses) => ({
      addresses,
    }));
    const conversion = convert.EndpointSlice({ ...base, addressType: 'IPv4', ports: [], endpoints });
    expect(conversion.ok && conversion.object.endpoints.map((each) => each.addresses[0])).toEqual([
      '10.0.0.1',
      '10.0.0.2',
    ]);
    expect(conversion.problems.map(({ path }) => renderPath(path))).toEqual([
      'endpoints[1].addresses[0]',
      'endpoints[2].addresses',
      'endpoints[3].addresses[0]',
    ]);
  });

  it('of type FQDN is accepted and kept empty', () => {
    const endpoints = [{ addresses: ['db.example.com'] }];
    const conversion = convert.EndpointSlice({ ...base, addressType: 'FQDN', ports: [], endpoints });
    expect(conversion).toMatchObject({ ok: true, problems: [], object: { endpoints: [] } });
  });

  it('knows its label of a headless Service and the time of its trigger', () => {
    const metadata = {
      name: 's',
      labels: { 'service.kubernetes.io/headless': '' },
      annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-01T00:00:00Z' },
    };
    const conversion = convert.EndpointSlice({ metadata, addressType: 'IPv4' });
    expect(conversion).toMatchObject({
      key: 'default/s',
      object: { headless: true, lastChangeTriggerTimeMs: Date.UTC(2026, 0, 1) },
    });
    expect(conversion.ok && conversion.object).not.toHaveProperty('serviceName');
  });
});

describe('Node', () => {
  it('keeps labels, internal addresses, pod ranges and taints', () => {
    const conversion = convert.Node({
      metadata: {
        name: 'n1',
        labels: { 'topology.kubernetes.io/zone': 'a' },
        deletionTimestamp: '2026-01-01T00:00:00Z',
      },
      spec: {
        podCIDR: '10.244.1.0/24',
        podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
        taints: [{ key: 'k', effect: 'NoSchedule', value: 'v' }],
      },
      status: {
        addresses: [
          { type: 'InternalIP', address: '172.30.0.11' },
          { type: 'ExternalIP', address: '203.0.113.1' },
          { type: 'InternalIP', address: 'FD00:30::11' },
          { type: 'Hostname', address: 'n1' },
        ],
        conditions: [{ type: 'Ready', lastHeartbeatTime: 'x' }],
      },
    });
    expect(conversion).toEqual({
      ok: true,
      key: 'n1',
      problems: [],
      object: {
        name: 'n1',
        labels: { 'topology.kubernetes.io/zone': 'a' },
        internalIPs: ['172.30.0.11', 'fd00:30::11'],
        podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
        taints: [{ key: 'k', effect: 'NoSchedule' }],
        deleting: true,
      },
    });
  });

  it('may have nothing but a name', () => {
    expect(convert.Node({ metadata: { name: 'n1' } })).toMatchObject({
      ok: true,
      object: { labels: {}, internalIPs: [], podCIDRs: [], taints: [], deleting: false },
    });
  });
});

describe('addresses', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['010.000.0.08', '10.0.0.8'],
    ['FD00:0:0::1', 'fd00::1'],
    ['fd00:0:0:1:0:0:0:1', 'fd00:0:0:1::1'],
    ['::1.2.3.4', '::102:304'],
    ['10.0.0.256', undefined],
    ['10.0.0', undefined],
    ['fe80::1%eth0', undefined],
    ['10.0.0.1 ', undefined],
    ['', undefined],
  ])('%s is written as %s', (text, expected) => {
    expect(canonicalIp(text)).toBe(expected);
  });
});

describe('isSameObject', () => {
  it.each<[string, object, object, boolean]>([
    ['order of keys', { a: 1, b: { c: [1, 2] } }, { b: { c: [1, 2] }, a: 1 }, true],
    ['order of lists', { a: [1, 2] }, { a: [2, 1] }, false],
    ['a key more', { a: 1 }, { a: 1, b: undefined }, false],
    ['a value', { a: { b: 1 } }, { a: { b: 2 } }, false],
    ['list or not', { a: [] }, { a: {} }, false],
    ['the trigger time', { a: 1, lastChangeTriggerTimeMs: 1 }, { a: 1 }, true],
  ])('%s', (_what, left, right, same) => {
    expect(isSameObject(left, right)).toBe(same);
    expect(isSameObject(right, left)).toBe(same);
  });
});
