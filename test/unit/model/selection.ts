// Runs one row of the selection tables through the whole model: Service, EndpointSlice and Nodes in, scopes out.

import { expect } from 'vitest';
import type { ServiceObject } from '../../../src/model/objects.js';
import { model, node, only, parseEndpoint, put, service, showScope, slice } from './builders.js';

export interface Situation {
  service?: Partial<ServiceObject>;
  /** Labels by node; this node is n1. No entry: no Node object. */
  nodes?: Record<string, Record<string, string>>;
}

/** Sentence, endpoints, service fields and nodes, then what each scope holds: letters, 'reject' or 'drop'. */
export type Row = [string, string[], Situation, { internal: string; cluster: string; local: string }];

export function all(internal: string, cluster: string, local: string): Row[3] {
  return { internal, cluster, local };
}

export function runRow([, endpoints, situation, expected]: Row): void {
  const nodes = Object.entries(situation.nodes ?? {}).map(([name, labels]) => put(node(name, { labels })));
  const made = model({}, [
    put(service(situation.service)),
    put(slice({ endpoints: endpoints.map(parseEndpoint) })),
    ...nodes,
  ]);
  const desired = only(made);
  expect({
    internal: showScope(desired, desired.internal),
    cluster: showScope(desired, desired.cluster),
    local: showScope(desired, desired.local),
  }).toEqual(expected);
  // Usable or not, every endpoint is known, and its flags say what the scopes say.
  expect(desired.backends).toHaveLength(new Set(endpoints.map((text) => text[0])).size);
  for (const [index, backend] of desired.backends.entries()) {
    expect(backend.inInternal).toBe(desired.internal.backends.includes(index));
    expect(backend.inCluster).toBe(desired.cluster.backends.includes(index));
    expect(backend.inLocal).toBe(desired.local.backends.includes(index));
    expect(backend.onNode).toBe(backend.nodeName === 'n1');
  }
}
