// Short ways to write the model's input, and to read its output.

import type { DesiredScope, DesiredService } from '../../../src/model/desired.js';
import { Model, type ModelOptions } from '../../../src/model/model.js';
import type {
  Change,
  EndpointObject,
  EndpointSliceObject,
  NodeObject,
  ServiceCidrObject,
  ServiceObject,
  ServicePortObject,
} from '../../../src/model/objects.js';

export function port(fields: Partial<ServicePortObject> = {}): ServicePortObject {
  return { name: 'http', protocol: 'TCP', port: 80, nodePort: 0, ...fields };
}

export function service(fields: Partial<ServiceObject> = {}): ServiceObject {
  return {
    namespace: 'default',
    name: 'web',
    creationTimestampMs: 1000,
    type: 'ClusterIP',
    clusterIPs: ['10.96.0.10'],
    headless: false,
    ports: [port()],
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    sessionAffinity: { mode: 'None' },
    externalIPs: [],
    loadBalancerIngress: [],
    loadBalancerSourceRanges: [],
    healthCheckNodePort: 0,
    publishNotReadyAddresses: false,
    annotations: {},
    ...fields,
  };
}

export function slice(fields: Partial<EndpointSliceObject> = {}): EndpointSliceObject {
  return {
    namespace: 'default',
    name: `${fields.serviceName ?? 'web'}-1`,
    serviceName: 'web',
    addressType: 'IPv4',
    headless: false,
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: [],
    ...fields,
  };
}

export function node(name: string, fields: Partial<NodeObject> = {}): NodeObject {
  return { name, labels: {}, internalIPs: [], podCIDRs: [], taints: [], deleting: false, ...fields };
}

export function serviceCidr(name: string, ...cidrs: string[]): ServiceCidrObject {
  return { name, cidrs };
}

export function endpoint(ip: string, fields: Partial<EndpointObject> = {}): EndpointObject {
  return { addresses: [ip], ...fields };
}

export function put(object: ServiceObject | EndpointSliceObject | NodeObject | ServiceCidrObject): Change {
  if ('cidrs' in object) return { kind: 'ServiceCIDR', key: object.name, object };
  if ('addressType' in object) return { kind: 'EndpointSlice', key: keyOf(object), object };
  if ('type' in object) return { kind: 'Service', key: keyOf(object), object };
  return { kind: 'Node', key: object.name, object };
}

export function remove(kind: Change['kind'], key: string): Change {
  return { kind, key, object: undefined };
}

function keyOf({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}

export function model(options: Partial<ModelOptions> = {}, changes: Change[] = []): Model {
  const made = new Model({ nodeName: 'n1', serveAll: true, ...options });
  made.apply(changes);
  return made;
}

/** The only service port of a model that must have exactly one. */
export function only(from: Model): DesiredService {
  const [first, ...rest] = from.desired();
  if (!first || rest.length > 0) throw new Error(`expected one service port, got ${from.desired().length}`);
  return first;
}

export function showFrontends(desired: DesiredService | undefined): string[] {
  return (desired?.frontends ?? []).map(({ type, ip, port: number, sourceRanges, nodeAllowed }) => {
    const ranges = sourceRanges
      ? ` from [${sourceRanges.join(' ')}]${nodeAllowed ? ' and this node' : ''}`
      : '';
    return `${type} ${ip} ${number}${ranges}`;
  });
}

export function showBackends(desired: DesiredService | undefined): string[] {
  return (desired?.backends ?? []).map((backend) => `${backend.ip}:${backend.port}`);
}

const CONDITIONS: Record<string, Partial<EndpointObject>> = {
  ready: { ready: true, serving: true, terminating: false },
  unready: { ready: false, serving: false, terminating: false },
  serving: { ready: false, serving: true, terminating: false },
  draining: { ready: false, serving: true, terminating: true },
  gone: { ready: false, serving: false, terminating: true },
  null: {},
  'ready=null': {},
  'ready=true': { ready: true },
  'ready=false': { ready: false },
  'serving=true': { serving: true },
  'serving=false': { serving: false },
  'terminating=true': { terminating: true },
  'terminating=false': { terminating: false },
};

/**
 * `b n2 draining zone=z1 zones=z1,z2 nodes=n1`: endpoint b (10.1.0.2) on node n2. No word for conditions: ready. `-`
 * as node: none.
 */
export function parseEndpoint(text: string): EndpointObject {
  const [name = '', nodeName = '', ...words] = text.split(' ');
  const made: EndpointObject = endpoint(`10.1.0.${name.charCodeAt(0) - 96}`);
  if (nodeName !== '-') made.nodeName = nodeName;
  let hasConditions = false;
  for (const word of words) {
    const [field = '', value = ''] = word.split('=');
    if (field === 'zone') made.zone = value;
    else if (field === 'zones') made.hintZones = value.split(',').filter((zone) => zone !== '');
    else if (field === 'nodes') made.hintNodes = value.split(',').filter((name) => name !== '');
    else {
      const conditions = CONDITIONS[word];
      if (!conditions) throw new Error(`unknown word ${word}`);
      Object.assign(made, conditions);
      hasConditions = true;
    }
  }
  if (!hasConditions) Object.assign(made, CONDITIONS.ready);
  return made;
}

/** `a b`, or what happens to new traffic when there is none. */
export function showScope({ backends }: DesiredService, scope: DesiredScope): string {
  if (scope.backends.length === 0) return scope.whenEmpty;
  return scope.backends.map((index) => letter(backends[index]?.ip)).join(' ');
}

function letter(ip = ''): string {
  return String.fromCharCode(96 + Number(ip.slice(ip.lastIndexOf('.') + 1)));
}
