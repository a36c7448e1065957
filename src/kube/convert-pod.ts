import type { Protocol } from '../model/objects.js';
import { PROTOCOLS } from './convert-service.js';
import type { Field, Problem } from './fields.js';
import { canonicalIp } from './ip.js';
import { labelsOf, metadataOf } from './metadata.js';

/** What a Service's selector needs to know about a Pod. */
export interface PodObject {
  namespace: string;
  name: string;
  labels: Record<string, string>;
  /** At most one per family counts; the first. */
  ips: string[];
  nodeName?: string;
  /** Succeeded or Failed: it will never serve again. */
  finished: boolean;
  ready: boolean;
  terminating: boolean;
  ports: PodPort[];
}

export interface PodPort {
  name: string;
  protocol: Protocol;
  port: number;
}

/**
 * v1 Pod. Ready is what condition Ready says. A manifest written by hand usually has no conditions: then a pod with
 * an address is ready unless its phase says that it does not run.
 */
export function convertPod(raw: Field, _problems: Problem[]): PodObject {
  const { namespace, name } = metadataOf(raw);
  const spec = raw.get('spec');
  const status = raw.get('status');
  const phase = status
    .get('phase')
    .oneOf(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const, 'Running');
  const ips = convertPodIPs(status);
  const pod: PodObject = {
    namespace,
    name,
    labels: labelsOf(raw),
    ips,
    finished: phase === 'Succeeded' || phase === 'Failed',
    ready: convertReady(status.get('conditions')) ?? (ips.length > 0 && phase === 'Running'),
    terminating: raw.get('metadata').get('deletionTimestamp').present,
    ports: [
      ...spec.get('containers').items(),
      // A sidecar: an init container that keeps running.
      ...spec
        .get('initContainers')
        .items()
        .filter((container) => container.get('restartPolicy').value === 'Always'),
    ].flatMap((container) => container.get('ports').items().map(convertPodPort)),
  };
  const nodeName = spec.get('nodeName').optionalString() ?? '';
  if (nodeName !== '') pod.nodeName = nodeName;
  return pod;
}

function convertPodIPs(status: Field): string[] {
  const list = status.get('podIPs').items();
  const entries = list.length > 0 ? list.map((entry) => entry.get('ip')) : [status.get('podIP')];
  const result: string[] = [];
  for (const entry of entries) {
    const text = entry.optionalString() ?? '';
    if (text === '') continue;
    result.push(canonicalIp(text) ?? entry.fail(`${JSON.stringify(text)} is no IP address; correct it`));
  }
  return result;
}

function convertReady(conditions: Field): boolean | undefined {
  for (const condition of conditions.items()) {
    if (condition.get('type').optionalString() === 'Ready') {
      const status = condition.get('status');
      // True without quotes is a boolean in YAML, and everyone knows what is meant.
      return status.value === true || status.value === 'True';
    }
  }
  return undefined;
}

function convertPodPort(entry: Field): PodPort {
  const port = entry.get('containerPort');
  return {
    name: entry.get('name').optionalString() ?? '',
    protocol: entry.get('protocol').oneOf(PROTOCOLS, 'TCP'),
    port: port.optionalInteger(1, 65_535) ?? port.fail('is missing; set it'),
  };
}
