import { describe, expect, it } from 'vitest';
import { type ClusterIpRange, parseClusterIpRange } from '../../../src/kube/cluster-ip-range.js';
import { type ManifestObject, readDocument } from '../../../src/kube/manifest-objects.js';
import { computeManifestState, type ManifestState } from '../../../src/kube/manifest-state.js';
import { parseManifestText, parseManifestTextInTurns } from '../../../src/kube/manifest-text.js';
import { podYaml, serviceYaml } from './manifest-fixture.js';

/** State of one file a.yaml with these documents. */
function stateOf(documents: string[], ranges: ClusterIpRange[] = []): ManifestState {
  const { documents: parsed, errors } = parseManifestText(documents.join('---\n'));
  expect(errors).toEqual([]);
  const objects: ManifestObject[] = parsed.map((document) => {
    const read = readDocument('a.yaml', document);
    if (read.result !== 'object') throw new Error(JSON.stringify(read));
    return read.object;
  });
  return computeManifestState(objects, ranges);
}

/** One line per endpoint: `IPv4 10.0.0.1:80 ready,serving node1 zone`. */
function endpointLines(state: ManifestState): string[] {
  return [...state.slices.values()]
    .flatMap((slice) =>
      slice.endpoints.map((endpoint) => {
        const flags = (['ready', 'serving', 'terminating'] as const).filter(
          (flag) => endpoint[flag] === true,
        );
        const ports = slice.ports.map(({ name, port }) => (name === '' ? port : `${name}=${port}`)).join('+');
        const place = [endpoint.nodeName, endpoint.zone].filter((each) => each !== undefined).join(' ');
        return `${slice.addressType} ${endpoint.addresses[0]}:${ports} ${flags.join(',') || '-'} ${place}`.trim();
      }),
    )
    .sort();
}

const web = serviceYaml('web');

describe('a selector with pods makes endpoints', () => {
  it.each([
    ['no conditions and no phase', 'podIP: 10.244.1.2', 'ready,serving'],
    ['phase Running', 'phase: Running\npodIP: 10.244.1.2', 'ready,serving'],
    ['phase Pending', 'phase: Pending\npodIP: 10.244.1.2', '-'],
    ['phase Unknown', 'phase: Unknown\npodIP: 10.244.1.2', '-'],
    [
      'condition Ready',
      'podIP: 10.244.1.2\nconditions:\n  - type: Ready\n    status: "True"',
      'ready,serving',
    ],
    [
      'condition Ready without quotes',
      'podIP: 10.244.1.2\nconditions:\n  - type: Ready\n    status: True',
      'ready,serving',
    ],
    ['condition not Ready', 'podIP: 10.244.1.2\nconditions:\n  - type: Ready\n    status: "False"', '-'],
    [
      'other conditions alone',
      'podIP: 10.244.1.2\nconditions:\n  - type: Initialized\n    status: "True"',
      'ready,serving',
    ],
  ])('%s', (_what, status, flags) => {
    expect(endpointLines(stateOf([web, podYaml('p', 'web', status)]))).toEqual([
      `IPv4 10.244.1.2:80 ${flags} node1`,
    ]);
  });

  it('leaves out pods that have finished, have no address, or have other labels', () => {
    const pods = [
      podYaml('done', 'web', 'phase: Succeeded\npodIP: 10.244.1.2'),
      podYaml('failed', 'web', 'phase: Failed\npodIP: 10.244.1.3'),
      podYaml('waiting', 'web', 'phase: Pending'),
      podYaml('other', 'other', 'podIP: 10.244.1.4'),
      podYaml('elsewhere', 'web', 'podIP: 10.244.1.5').replace('  name:', '  namespace: elsewhere\n  name:'),
    ];
    expect(endpointLines(stateOf([web, ...pods]))).toEqual([]);
  });

  it('keeps a pod that is being deleted as terminating, serving while it is Ready', () => {
    const pod = podYaml('p', 'web', 'podIP: 10.244.1.2').replace(
      '  name:',
      '  deletionTimestamp: 2026-01-01T00:00:00Z\n  name:',
    );
    expect(endpointLines(stateOf([web, pod]))).toEqual(['IPv4 10.244.1.2:80 serving,terminating node1']);
  });

  it('counts not ready pods as ready under publishNotReadyAddresses', () => {
    const service = serviceYaml('web', 'clusterIP: 10.96.0.20\npublishNotReadyAddresses: true');
    const pod = podYaml('p', 'web', 'phase: Pending\npodIP: 10.244.1.2');
    expect(endpointLines(stateOf([service, pod]))).toEqual(['IPv4 10.244.1.2:80 ready node1']);
  });

  it('makes slices of both families out of podIPs', () => {
    const pod = podYaml(
      'p',
      'web',
      'podIP: 10.244.1.2\npodIPs:\n  - ip: 10.244.1.2\n  - ip: FD00:244:1:0::2',
    );
    expect(endpointLines(stateOf([web, pod]))).toEqual([
      'IPv4 10.244.1.2:80 ready,serving node1',
      'IPv6 fd00:244:1::2:80 ready,serving node1',
    ]);
  });

  it('takes the zone from the node, and works without a node', () => {
    const node =
      'apiVersion: v1\nkind: Node\nmetadata:\n  name: node1\n  labels:\n    topology.kubernetes.io/zone: zone-a\n';
    const nowhere = podYaml('q', 'web', 'podIP: 10.244.1.3').replace(
      '  nodeName: node1',
      '  hostNetwork: true',
    );
    expect(endpointLines(stateOf([web, podYaml('p', 'web', 'podIP: 10.244.1.2'), nowhere, node]))).toEqual([
      'IPv4 10.244.1.2:80 ready,serving node1 zone-a',
      'IPv4 10.244.1.3:80 ready,serving',
    ]);
  });

  it('resolves a named port in each pod, by protocol, and reports where it is missing', () => {
    const service = serviceYaml('web').replace('- port: 80', '- port: 80\n      targetPort: http');
    const containers = (port: number, name = 'http', protocol = 'TCP') =>
      `containers:\n  - name: c\n    ports:\n      - name: ${name}\n        containerPort: ${port}\n        protocol: ${protocol}`;
    const state = stateOf([
      service,
      podYaml('a', 'web', 'podIP: 10.244.1.2', containers(8080)),
      podYaml('b', 'web', 'podIP: 10.244.1.3', containers(9090)),
      podYaml('c', 'web', 'podIP: 10.244.1.4', containers(8080)),
      podYaml('d', 'web', 'podIP: 10.244.1.5', containers(8080, 'http', 'UDP')),
      podYaml(
        's',
        'web',
        'podIP: 10.244.1.6',
        containers(7070)
          .replace('containers', 'initContainers')
          .replace('name: c\n', 'name: c\n    restartPolicy: Always\n'),
      ),
    ]);
    expect(endpointLines(state)).toEqual([
      'IPv4 10.244.1.2:8080 ready,serving node1',
      'IPv4 10.244.1.3:9090 ready,serving node1',
      'IPv4 10.244.1.4:8080 ready,serving node1',
      'IPv4 10.244.1.6:7070 ready,serving node1',
    ]);
    expect(state.slices.size).toBe(3);
    expect(state.warnings).toEqual([
      {
        object: 'Service default/web',
        field: 'spec.ports',
        message:
          'port without a name: Pod d has no container port named http; name one so, or use the number',
      },
    ]);
  });

  it.each([
    ['PreferClose', ['zone-a'], undefined],
    ['PreferSameZone', ['zone-a'], undefined],
    ['PreferSameNode', ['zone-a'], ['node1']],
  ])('gives hints for trafficDistribution %s', (distribution, hintZones, hintNodes) => {
    const node =
      'apiVersion: v1\nkind: Node\nmetadata:\n  name: node1\n  labels:\n    topology.kubernetes.io/zone: zone-a\n';
    const service = serviceYaml('web', `clusterIP: 10.96.0.20\ntrafficDistribution: ${distribution}`);
    const pods = [
      podYaml('p', 'web', 'podIP: 10.244.1.2'),
      podYaml('q', 'web', 'phase: Pending\npodIP: 10.244.1.3'),
    ];
    const [slice] = stateOf([node, service, ...pods]).slices.values();
    expect(slice?.endpoints[0]?.hintZones).toEqual(hintZones);
    expect(slice?.endpoints[0]?.hintNodes).toEqual(hintNodes);
    expect(slice?.endpoints[1]?.hintZones).toBeUndefined();
  });
});

describe('Endpoints', () => {
  const plain =
    'apiVersion: v1\nkind: Service\nmetadata:\n  name: db\nspec:\n  clusterIP: 10.96.0.30\n  ports:\n    - port: 80\n';
  const endpoints = `apiVersion: v1
kind: Endpoints
metadata:
  name: db
subsets:
  - addresses:
      - ip: 192.0.2.42
      - ip: 2001:DB8::0:42
        nodeName: node1
    notReadyAddresses:
      - ip: 192.0.2.43
    ports:
      - port: 9376
`;

  it('are mirrored for a Service without selector', () => {
    const state = stateOf([plain, endpoints]);
    expect(endpointLines(state)).toEqual([
      'IPv4 192.0.2.42:9376 ready',
      'IPv4 192.0.2.43:9376 -',
      'IPv6 2001:db8::42:9376 ready node1',
    ]);
    expect([...state.slices.values()].map((slice) => slice.serviceName)).toEqual(['db', 'db']);
    expect(state.warnings).toEqual([]);
  });

  it.each([
    ['of a Service with selector', serviceYaml('db', 'clusterIP: 10.96.0.30'), /the Service has a selector/],
    ['without a Service', serviceYaml('other'), /there is no Service of this name/],
  ])('%s are not, and that is said', (_what, service, message) => {
    const state = stateOf([service, endpoints]);
    expect(state.slices.size).toBe(0);
    expect(state.warnings).toEqual([
      { object: 'Endpoints default/db', field: '', message: expect.stringMatching(message) },
    ]);
  });

  it('beside the slices they belong to, as a dump of a cluster has them, are passed over in silence', () => {
    const pod = podYaml('p', 'db', 'podIP: 10.244.1.2');
    const state = stateOf([serviceYaml('db', 'clusterIP: 10.96.0.30'), endpoints, pod]);
    expect(endpointLines(state)).toEqual(['IPv4 10.244.1.2:80 ready,serving node1']);
    expect(state.warnings).toEqual([]);
  });

  it('with the label skip-mirror are passed over in silence', () => {
    const skipped = endpoints.replace(
      '  name: db',
      '  name: db\n  labels:\n    endpointslice.kubernetes.io/skip-mirror: "true"',
    );
    const state = stateOf([plain, skipped]);
    expect(state.slices.size).toBe(0);
    expect(state.warnings).toEqual([]);
  });
});

describe('what an API server would have filled in or refused', () => {
  const bare = serviceYaml('web', 'type: ClusterIP');

  it('is reported when it is a cluster IP', () => {
    const state = stateOf([bare]);
    expect(state.services.get('default/web')).toMatchObject({ clusterIPs: [], headless: true });
    expect(state.warnings).toEqual([
      {
        object: 'Service default/web',
        field: 'spec.clusterIP',
        message:
          'is missing and no API server is here to allocate one, so the Service is not served; set it, or None for a headless Service (a.yaml line 1)',
      },
    ]);
  });

  it('is allocated from the ranges when there are any, the same way each time, and never twice', () => {
    const ranges = ['10.96.0.0/28', 'fd00:96::/112'].map(parseClusterIpRange);
    const services = Array.from({ length: 14 }, (_, i) =>
      serviceYaml(`s${i}`, i === 0 ? 'clusterIP: 10.96.0.1' : 'type: ClusterIP'),
    );
    const state = stateOf(services, ranges);
    const ips = [...state.services.values()].flatMap((service) => service.clusterIPs);
    expect(new Set(ips).size).toBe(14);
    expect([...state.services.values()].some((service) => service.headless)).toBe(false);
    expect(ips.every((ip) => /^10\.96\.0\.([1-9]|1[0-4])$/.test(ip))).toBe(true);
    expect([...stateOf([...services].reverse(), ranges).services.values()].reverse()).toEqual([
      ...state.services.values(),
    ]);
    expect(stateOf([...services, serviceYaml('s99', 'type: ClusterIP')], ranges).warnings).toHaveLength(1);
  });

  it.each([
    ['ipFamilyPolicy: PreferDualStack', [4, 6]],
    ['ipFamilies: [IPv6]', [6]],
    ['ipFamilies: [IPv6, IPv4]', [6, 4]],
    ['type: ClusterIP', [4]],
  ])('is allocated in the families asked for: %s', (spec, families) => {
    const ranges = ['10.96.0.0/16', 'fd00:96::/112'].map(parseClusterIpRange);
    const [service] = stateOf([serviceYaml('web', spec)], ranges).services.values();
    expect(service?.clusterIPs.map((ip) => (ip.includes(':') ? 6 : 4))).toEqual(families);
  });

  it('stays headless when None was written', () => {
    const state = stateOf([serviceYaml('web', 'clusterIP: None')], [parseClusterIpRange('10.96.0.0/16')]);
    expect(state.services.get('default/web')).toMatchObject({ clusterIPs: [], headless: true });
    expect(state.warnings).toEqual([]);
  });

  it('is reported when it is a NodePort', () => {
    const state = stateOf([serviceYaml('web', 'clusterIP: 10.96.0.20\ntype: NodePort')]);
    expect(state.warnings.map(({ field }) => field)).toEqual(['spec.ports[0].nodePort']);
  });

  it('is refused when another Service has the cluster IP or the NodePort', () => {
    const node = (name: string, ip: string) =>
      serviceYaml(name, `clusterIP: ${ip}\ntype: NodePort`).replace(
        '- port: 80',
        '- port: 80\n      nodePort: 30080',
      );
    const state = stateOf([
      serviceYaml('a'),
      serviceYaml('b'),
      node('c', '10.96.0.21'),
      node('d', '10.96.0.22'),
      node('e', '10.96.0.23').replace('- port', '- protocol: UDP\n      port'),
    ]);
    expect([...state.services.keys()]).toEqual(['default/a', 'default/c', 'default/e']);
    expect(
      state.warnings.map(({ object, field, message }) => `${object} ${field} ${message.split(';')[0]}`),
    ).toEqual([
      'Service default/b spec.clusterIPs 10.96.0.20 belongs to Service default/a',
      'Service default/d spec.ports[0].nodePort 30080/TCP belongs to Service default/c',
    ]);
  });

  it('is refused when a Node has it: all its other ports would be refused too', () => {
    const node =
      'apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 10.0.0.1}]}\n';
    const state = stateOf([serviceYaml('web', 'clusterIP: 10.0.0.1'), node]);
    expect(state.services.size).toBe(0);
    expect(state.warnings[0]?.message).toMatch(/^10\.0\.0\.1 belongs to Node n1; the Service is left out/);
  });

  it.each(['10.96.0.0', '10.96.0.0/31', 'nonsense/8'])('refuses the range %s', (text) => {
    expect(() => parseClusterIpRange(text)).toThrow(/^use cluster IP range: .*\(EINVAL\)\. /);
  });
});

describe('a hand-made slice that serves nothing says why', () => {
  const slice = (labels: string, port: string) =>
    `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: ${labels}}\n` +
    `addressType: IPv4\nports: [${port}]\nendpoints: [{addresses: [10.244.1.2]}]\n`;
  const ofWeb = '{kubernetes.io/service-name: web}';
  it.each([
    [
      'no label',
      slice('{}', '{port: 80}'),
      'metadata.labels["kubernetes.io/service-name"]',
      /is missing.*set it/,
    ],
    [
      'no such Service',
      slice('{kubernetes.io/service-name: wbe}', '{port: 80}'),
      'metadata.labels["kubernetes.io/service-name"]',
      /there is no Service default\/wbe/,
    ],
    ['another port name', slice(ofWeb, '{port: 80, name: htpp}'), 'ports', /which are \(no name\)\/TCP/],
    ['another protocol', slice(ofWeb, '{port: 80, protocol: UDP}'), 'ports', /which are \(no name\)\/TCP/],
  ])('%s', (_, text, field, message) => {
    const { warnings } = stateOf([serviceYaml('web').replace('selector:', 'unused:'), text]);
    expect(warnings).toEqual([
      { object: 'EndpointSlice default/web-1', field, message: expect.stringMatching(message) },
    ]);
  });

  it('and one that fits says nothing', () => {
    expect(stateOf([web, slice(ofWeb, '{port: 80}')]).warnings).toEqual([]);
  });
});

describe('kind and apiVersion', () => {
  const read = (apiVersion: string, kind: string) => {
    const [document] = parseManifestText(
      `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: x}\n`,
    ).documents;
    const result = readDocument('a.yaml', document as NonNullable<typeof document>);
    return result.result === 'bad'
      ? result.warnings.map((w) => `${w.object} ${w.field}: ${w.message}`).join()
      : result.result;
  };
  it.each([
    [
      'v1',
      'Servce',
      'Servce default/x kind: is "Servce", which v1 does not have; served here are Service, Endpoints, Pod, Node (a.yaml line 2)',
    ],
    [
      'apps/v1',
      'Service',
      'Service default/x apiVersion: is apps/v1, which has no Service that is served here; write v1 (a.yaml line 1)',
    ],
    [
      'v2',
      'Pod',
      'Pod default/x apiVersion: is v2, which has no Pod that is served here; write v1 (a.yaml line 1)',
    ],
    [
      'discovery.k8s.io/v1beta1',
      'EndpointSlice',
      'EndpointSlice default/x apiVersion: is discovery.k8s.io/v1beta1, which has no EndpointSlice that is served here; write discovery.k8s.io/v1 (a.yaml line 1)',
    ],
    ['v1', 'ConfigMap', 'ignored'],
    ['apps/v1', 'Deployment', 'ignored'],
    ['serving.knative.dev/v1', 'Service', 'ignored'],
  ])('%s %s', (apiVersion, kind, outcome) => {
    expect(read(apiVersion, kind)).toBe(outcome);
  });
});

describe('the text of a file', () => {
  const errors = (text: string) =>
    parseManifestText(text).errors.map(({ line, message }) => `${line}: ${message}`);
  it.each([
    ['UTF-16', 'a\0p\0', '1: this is no UTF-8 text; save it as UTF-8'],
    [
      'a List whose items are none',
      'apiVersion: v1\nkind: List\nitems: {a: b}\n',
      '3: items must be a list, is a mapping; write one "- " per entry',
    ],
    [
      'a syntax error',
      'a: [b',
      '1: Flow sequence in block collection must be sufficiently indented and end with a ]; correct it',
    ],
  ])('%s', (_, text, expected) => {
    expect(errors(text)).toEqual([expected]);
  });
  it('may have a byte order mark and lines that end in CR LF', () => {
    const text = '\uFEFFapiVersion: v1\r\nkind: Service\r\n---\r\napiVersion: v1\r\nkind: Pod\r\n';
    expect(parseManifestText(text).documents.map(({ kind, lineOf }) => `${kind} ${lineOf([])}`)).toEqual([
      'Service 1',
      'Pod 4',
    ]);
  });
  it('leaves the event loop to others while it reads a large one', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const { documents } = await parseManifestTextInTurns(`${serviceYaml('a')}---\n`.repeat(3000));
    clearInterval(timer);
    expect(documents).toHaveLength(3000);
    expect(turns).toBeGreaterThan(2);
  });
});
