import type {
  EndpointSliceObject,
  NodeObject,
  ServiceCidrObject,
  ServiceObject,
  Warning,
} from '../model/objects.js';
import { type Conversion, convert, convertWith, renderWarning } from './convert.js';
import { convertEndpoints, type EndpointsObject } from './convert-endpoints.js';
import { convertPod, type PodObject } from './convert-pod.js';
import { Field, type Problem } from './fields.js';
import type { ManifestDocument } from './manifest-text.js';
import { metadataOf } from './metadata.js';
import type { TrafficDistribution } from './pods-to-slices.js';

/** Fields of a Service that only the control plane reads, which manifests do without. */
export interface ServiceRequest {
  /** `clusterIP: None` was written, as opposed to no cluster IP at all. */
  explicitlyHeadless: boolean;
  /** Families to allocate cluster IPs of; undefined: one address of the first range's family. */
  families: (4 | 6)[] | 'both' | undefined;
  trafficDistribution: TrafficDistribution;
}

interface ManifestOf<Kind extends string, T> {
  kind: Kind;
  key: string;
  object: T;
  file: string;
  line: number;
}

export type ManifestService = ManifestOf<'Service', ServiceObject> & { request: ServiceRequest };
export type ManifestObject =
  | ManifestService
  | ManifestOf<'EndpointSlice', EndpointSliceObject>
  | ManifestOf<'Endpoints', EndpointsObject>
  | ManifestOf<'Pod', PodObject>
  | ManifestOf<'Node', NodeObject>
  | ManifestOf<'ServiceCIDR', ServiceCidrObject>;

const API_VERSIONS: Record<ManifestObject['kind'], string> = {
  Service: 'v1',
  Endpoints: 'v1',
  Pod: 'v1',
  Node: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  ServiceCIDR: 'networking.k8s.io/v1',
};

/** The other kinds of these groups: a word that is none of them is a slip of the pen. */
const OTHER_KINDS: Record<string, string> = {
  v1: 'Binding ComponentStatus ConfigMap Event LimitRange Namespace PersistentVolume PersistentVolumeClaim PodTemplate ReplicationController ResourceQuota Secret ServiceAccount',
  'discovery.k8s.io/v1': '',
};

export type ReadDocument =
  | { result: 'object'; object: ManifestObject; warnings: Warning[] }
  /** Unusable; `kind` and `key` tell whose last good version may stay. */
  | { result: 'bad'; kind: string; key: string | undefined; warnings: Warning[] }
  /** A kind that has no meaning here. */
  | { result: 'ignored' };

/** One document of a file -> an object with its place. */
export function readDocument(file: string, document: ManifestDocument): ReadDocument {
  const { kind } = document;
  const mistake = mistakeOfType(document);
  if (mistake !== undefined)
    return bad(file, document, { ok: false, key: keyOf(document), problems: [mistake] });
  if (!isKnown(kind) || document.apiVersion !== API_VERSIONS[kind]) return { result: 'ignored' };
  const conversion = convertKind(kind, document.raw);
  if (!conversion.ok) return bad(file, document, conversion);
  const place = { key: conversion.key, file, line: document.lineOf([]) };
  const object = { kind, object: conversion.object, ...place } as ManifestObject;
  if (object.kind === 'Service') object.request = readRequest(document.raw);
  return { result: 'object', object, warnings: renderWarnings(file, document, conversion) };
}

/** Other groups may have a "Service" of their own, and other kinds are none of our business. */
function mistakeOfType({ apiVersion, kind }: ManifestDocument): Problem | undefined {
  if (isKnown(kind)) {
    const right = API_VERSIONS[kind];
    const isForeign = apiVersion === right || (kind !== 'EndpointSlice' && /^[^/]*\..*\//.test(apiVersion));
    if (isForeign) return undefined;
    const message = `is ${apiVersion}, which has no ${kind} that is served here; write ${right}`;
    return { path: ['apiVersion'], message };
  }
  const others = OTHER_KINDS[apiVersion]?.split(' ');
  if (others === undefined || others.includes(kind)) return undefined;
  const served = Object.entries(API_VERSIONS).filter(([, version]) => version === apiVersion);
  return {
    path: ['kind'],
    message: `is ${JSON.stringify(kind)}, which ${apiVersion} does not have; served here are ${served.map(([each]) => each).join(', ')}`,
  };
}

/** For a message about an object that is not read any further. */
function keyOf({ raw }: ManifestDocument): string | undefined {
  try {
    const { namespace, name } = metadataOf(new Field(raw));
    return `${namespace}/${name}`;
  } catch {
    return undefined;
  }
}

function convertKind(kind: ManifestObject['kind'], raw: unknown): Conversion<object> {
  if (kind === 'Pod') return convertWith(raw, true, convertPod);
  if (kind === 'Endpoints') return convertWith(raw, true, convertEndpoints);
  return convert[kind](raw);
}

function readRequest(raw: unknown): ServiceRequest {
  const spec = new Field(raw).get('spec');
  const written = spec.get('ipFamilies').value;
  const families = Array.isArray(written)
    ? written.flatMap((each): (4 | 6)[] => (each === 'IPv4' ? [4] : each === 'IPv6' ? [6] : []))
    : [];
  const policy = spec.get('ipFamilyPolicy').value;
  const dual = policy === 'PreferDualStack' || policy === 'RequireDualStack';
  const distribution = spec.get('trafficDistribution').value;
  return {
    explicitlyHeadless: spec.get('clusterIP').value === 'None' || isNoneList(spec.get('clusterIPs').value),
    families: families.length > 0 && !(dual && families.length < 2) ? families : dual ? 'both' : undefined,
    trafficDistribution:
      distribution === 'PreferClose' || distribution === 'PreferSameZone'
        ? 'PreferSameZone'
        : distribution === 'PreferSameNode'
          ? 'PreferSameNode'
          : undefined,
  };
}

function isNoneList(value: unknown): boolean {
  return Array.isArray(value) && value[0] === 'None';
}

function bad(file: string, document: ManifestDocument, conversion: Conversion<object>): ReadDocument {
  return {
    result: 'bad',
    kind: document.kind,
    key: conversion.key,
    warnings: renderWarnings(file, document, conversion),
  };
}

function renderWarnings(file: string, document: ManifestDocument, conversion: Conversion<object>): Warning[] {
  return conversion.problems.map((problem) => {
    const warning = renderWarning(document.kind, conversion.key, problem);
    return { ...warning, message: `${warning.message} (${file} line ${document.lineOf(problem.path)})` };
  });
}

function isKnown(kind: string): kind is ManifestObject['kind'] {
  return Object.hasOwn(API_VERSIONS, kind);
}
