import type {
  EndpointSliceObject,
  NodeObject,
  ServiceCidrObject,
  ServiceObject,
  Warning,
} from '../model/objects.js';
import { allocateClusterIp, type ClusterIpRange } from './cluster-ip-range.js';
import { mirrorEndpoints } from './endpoints-to-slices.js';
import type { ManifestObject, ManifestService } from './manifest-objects.js';
import { LABEL_ZONE } from './metadata.js';
import { PodIndex } from './pod-index.js';
import { selectPods } from './pods-to-slices.js';

/** All model objects that a set of manifests stands for, by key. */
export interface ManifestState {
  nodes: Map<string, NodeObject>;
  serviceCidrs: Map<string, ServiceCidrObject>;
  services: Map<string, ServiceObject>;
  slices: Map<string, EndpointSliceObject>;
  warnings: Warning[];
}

/**
 * Does what the control plane would do between the manifests and a proxy: refuses what it would refuse, allocates
 * cluster IPs when ranges are given, makes EndpointSlices of selectors and of hand-made Endpoints. The result
 * depends on the objects (their order included) and nothing else.
 */
export function computeManifestState(
  objects: readonly ManifestObject[],
  ranges: readonly ClusterIpRange[],
): ManifestState {
  const state: ManifestState = {
    nodes: new Map(),
    serviceCidrs: new Map(),
    services: new Map(),
    slices: new Map(),
    warnings: [],
  };
  const unique = dropDuplicates(objects, state.warnings);
  const pods = new PodIndex();
  for (const each of unique) {
    if (each.kind === 'Node') state.nodes.set(each.key, each.object);
    else if (each.kind === 'ServiceCIDR') state.serviceCidrs.set(each.key, each.object);
    else if (each.kind === 'EndpointSlice') state.slices.set(each.key, each.object);
    else if (each.kind === 'Pod') pods.add(each.object);
  }
  const services = admitServices(
    unique.filter((each) => each.kind === 'Service'),
    state.nodes,
    state.warnings,
  );
  addClusterIps(services, ranges, state.warnings);
  for (const { key, object } of services) state.services.set(key, object);
  addPodSlices(state, services, pods);
  addMirroredSlices(state, unique);
  checkSlices(state, unique);
  return state;
}

function dropDuplicates(objects: readonly ManifestObject[], warnings: Warning[]): ManifestObject[] {
  const seen = new Map<string, ManifestObject>();
  for (const each of objects) {
    const id = `${each.kind} ${each.key}`;
    const first = seen.get(id);
    if (first === undefined) seen.set(id, each);
    else {
      const message =
        `is in ${first.file} line ${first.line} and again in ${each.file} line ${each.line}; ` +
        'the first one counts, remove the other';
      warnings.push({ object: id, field: '', message });
    }
  }
  return [...seen.values()];
}

/** Refuses what an API server refuses: a cluster IP that a Node or Service has, a NodePort that a Service has. */
function admitServices(
  services: readonly ManifestService[],
  nodes: ReadonlyMap<string, NodeObject>,
  warnings: Warning[],
): ManifestService[] {
  // All other ports of a cluster IP are refused: on a node's own address that would cut the node off.
  const owners = new Map<string, string>(
    [...nodes.values()].flatMap(({ name, internalIPs }) =>
      internalIPs.map((ip) => [ip, `Node ${name}`] as const),
    ),
  );
  const admitted: ManifestService[] = [];
  for (const service of services) {
    const { object, key } = service;
    const claims = [
      ...object.clusterIPs.map((ip) => ({ field: 'spec.clusterIPs', what: ip })),
      ...object.ports.flatMap(({ nodePort, protocol }, i) =>
        nodePort === 0 ? [] : [{ field: `spec.ports[${i}].nodePort`, what: `${nodePort}/${protocol}` }],
      ),
    ];
    const conflict = object.type === 'ExternalName' ? undefined : claims.find(({ what }) => owners.has(what));
    if (conflict !== undefined) {
      const message =
        `${conflict.what} belongs to ${owners.get(conflict.what)}; the Service is left out, ` +
        `choose another one (${service.file} line ${service.line})`;
      warnings.push({ object: `Service ${key}`, field: conflict.field, message });
      continue;
    }
    for (const { what } of claims) owners.set(what, `Service ${key}`);
    admitted.push({ ...service, object: { ...object } });
  }
  return admitted;
}

function addClusterIps(
  services: ManifestService[],
  ranges: readonly ClusterIpRange[],
  warnings: Warning[],
): void {
  const taken = new Set(services.flatMap(({ object }) => object.clusterIPs));
  for (const { object, key, request, file, line } of [...services].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    if (object.type === 'ExternalName') continue;
    const place = `(${file} line ${line})`;
    if (object.clusterIPs.length === 0 && !request.explicitlyHeadless) {
      for (const range of wantedRanges(request.families, ranges)) {
        const ip = allocateClusterIp(range, key, (each) => taken.has(each));
        if (ip === undefined) continue;
        taken.add(ip);
        object.clusterIPs = [...object.clusterIPs, ip];
        object.headless = false;
      }
      if (object.clusterIPs.length === 0) {
        const message = `is missing and no API server is here to allocate one, so the Service is not served; set it, or None for a headless Service ${place}`;
        warnings.push({ object: `Service ${key}`, field: 'spec.clusterIP', message });
      }
    }
    for (const [index, { nodePort }] of object.ports.entries()) {
      if (object.type !== 'NodePort' || nodePort !== 0) continue;
      const message = `is missing and no API server is here to allocate one; set it, e.g. in 30000-32767 ${place}`;
      warnings.push({ object: `Service ${key}`, field: `spec.ports[${index}].nodePort`, message });
    }
  }
}

function wantedRanges(
  families: ManifestService['request']['families'],
  ranges: readonly ClusterIpRange[],
): readonly ClusterIpRange[] {
  if (families === 'both') return ranges;
  if (families === undefined) return ranges.slice(0, 1);
  return families.flatMap((family) => ranges.filter((range) => range.family === family));
}

function addPodSlices(state: ManifestState, services: readonly ManifestService[], pods: PodIndex): void {
  const zoneOf = (nodeName: string) => state.nodes.get(nodeName)?.labels[LABEL_ZONE];
  for (const { object, key, request } of services) {
    if (object.selector === undefined || object.headless || object.type === 'ExternalName') continue;
    const selected = pods.select(object.namespace, object.selector);
    const { slices, unresolved } = selectPods(object, request.trafficDistribution, selected, zoneOf);
    for (const slice of slices) state.slices.set(`${slice.namespace}/${slice.name}`, slice);
    for (const { portName, targetPort, pod } of unresolved) {
      const message =
        `port ${portName || 'without a name'}: Pod ${pod} has no container port named ${targetPort}; ` +
        'name one so, or use the number';
      state.warnings.push({ object: `Service ${key}`, field: 'spec.ports', message });
    }
  }
}

function addMirroredSlices(state: ManifestState, objects: readonly ManifestObject[]): void {
  for (const { kind, key, object, file, line } of objects) {
    if (kind !== 'Endpoints' || object.skipMirror) continue;
    const service = state.services.get(key);
    if (service !== undefined && service.selector === undefined) {
      for (const slice of mirrorEndpoints(object))
        state.slices.set(`${slice.namespace}/${slice.name}`, slice);
      continue;
    }
    // A dump of a cluster holds Endpoints of every Service beside the slices they were made of: nothing is lost.
    const hasSlices = [...state.slices.values()].some(
      (slice) => slice.namespace === object.namespace && slice.serviceName === object.name,
    );
    if (hasSlices) continue;
    const cause =
      service === undefined
        ? 'there is no Service of this name; add one'
        : 'the Service has a selector, so they are not used; remove the selector or these Endpoints';
    state.warnings.push({
      object: `Endpoints ${key}`,
      field: '',
      message: `${cause} (${file} line ${line})`,
    });
  }
}

/** A hand-made slice that serves nothing says so: in a cluster a controller makes them, and makes no such slips. */
function checkSlices(state: ManifestState, objects: readonly ManifestObject[]): void {
  for (const { kind, key, object, file, line } of objects) {
    if (kind !== 'EndpointSlice' || object.headless || object.addressType === 'FQDN') continue;
    const mistake = sliceMistake(object, state.services);
    if (mistake === undefined) continue;
    const [field, message] = mistake;
    state.warnings.push({
      object: `EndpointSlice ${key}`,
      field,
      message: `${message} (${file} line ${line})`,
    });
  }
}

function sliceMistake(
  { namespace, serviceName, ports, endpoints }: EndpointSliceObject,
  services: ReadonlyMap<string, ServiceObject>,
): [field: string, message: string] | undefined {
  const label = 'metadata.labels["kubernetes.io/service-name"]';
  if (serviceName === undefined) return [label, 'is missing, so no Service uses this slice; set it'];
  const service = services.get(`${namespace}/${serviceName}`);
  if (service === undefined)
    return [label, `there is no Service ${namespace}/${serviceName}; add or correct it`];
  if (endpoints.length === 0 || service.headless || service.ports.length === 0) return undefined;
  const matches = ports.some((port) =>
    service.ports.some(({ name, protocol }) => name === port.name && protocol === port.protocol),
  );
  if (matches) return undefined;
  const names = service.ports.map(({ name, protocol }) => `${name || '(no name)'}/${protocol}`).join(', ');
  return [
    'ports',
    `none has the name and protocol of a port of the Service, which are ${names}; correct the name`,
  ];
}
