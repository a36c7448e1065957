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
import { Field } from './fields.js';
import type { ManifestDocument } from './manifest-text.js';
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

export type ReadDocument =
  | { result: 'object'; object: ManifestObject; warnings: Warning[] }
  /** Unusable; `kind` and `key` tell whose last good version may stay. */
  | { result: 'bad'; kind: string; key: string | undefined; warnings: Warning[] }
  /** A kind that has no meaning here. */
  | { result: 'ignored' };

/** One document of a file -> an object with its place. */
export function readDocument(file: string, document: ManifestDocument): ReadDocument {
  const { kind } = document;
  if (!isKnown(kind)) return { result: 'ignored' };
  if (document.apiVersion !== API_VERSIONS[kind]) {
    // Other groups have their own "Service"; an old EndpointSlice is worth a word.
    if (document.apiVersion !== 'discovery.k8s.io/v1beta1') return { result: 'ignored' };
    const message = `is ${document.apiVersion}, which has other fields; convert it to discovery.k8s.io/v1`;
    const problem = { path: ['apiVersion'], message };
    return bad(file, document, { ok: false, key: undefined, problems: [problem] });
  }
  const conversion = convertKind(kind, document.raw);
  if (!conversion.ok) return bad(file, document, conversion);
  const place = { key: conversion.key, file, line: document.lineOf([]) };
  const object = { kind, object: conversion.object, ...place } as ManifestObject;
  if (object.kind === 'Service') object.request = readRequest(document.raw);
  return { result: 'object', object, warnings: renderWarnings(file, document, conversion) };
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
