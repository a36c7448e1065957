// Which endpoints may take new traffic. SEMANTICS sections 3 and 4.

import type { DesiredScope } from './desired.js';
import type { TrafficPolicy } from './objects.js';
import { LABEL_ZONE, type LabelsOf, narrowByHints, narrowByKeys, type PlacedEndpoint } from './topology.js';

export interface SelectableEndpoint extends PlacedEndpoint {
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
}

export interface SelectionInput {
  endpoints: readonly SelectableEndpoint[];
  internalTrafficPolicy: TrafficPolicy;
  /** This node. */
  nodeName: string;
  labelsOf: LabelsOf;
  /** From shunt.dev/topology-keys; takes the place of the hints. */
  topologyKeys?: readonly string[] | undefined;
}

export interface Selection {
  /** Cluster IPs: the list that internalTrafficPolicy asks for. */
  internal: DesiredScope;
  /** The Cluster list. */
  cluster: DesiredScope;
  /** The Local list. */
  local: DesiredScope;
}

interface Indexed extends SelectableEndpoint {
  readonly index: number;
}

/**
 * Pure. Indices in the result point into `input.endpoints` and ascend. An empty list with `reject` means that nothing
 * can answer; with `drop`, that only endpoints of other nodes can.
 */
export function selectEndpoints(input: SelectionInput): Selection {
  const ready: Indexed[] = [];
  const draining: Indexed[] = [];
  for (const [index, endpoint] of input.endpoints.entries()) {
    if (endpoint.ready) ready.push({ ...endpoint, index });
    else if (endpoint.serving && endpoint.terminating) draining.push({ ...endpoint, index });
  }
  const cluster = scope(ready.length > 0 ? narrow(ready, input) : draining, 'reject');
  const usableAnywhere = ready.length + draining.length > 0;
  const local = scope(selectLocal(ready, draining, input.nodeName), usableAnywhere ? 'drop' : 'reject');
  return { internal: input.internalTrafficPolicy === 'Local' ? local : cluster, cluster, local };
}

function narrow(ready: readonly Indexed[], input: SelectionInput): readonly Indexed[] {
  const { nodeName, labelsOf, topologyKeys } = input;
  if (topologyKeys !== undefined) return narrowByKeys(ready, topologyKeys, nodeName, labelsOf);
  return narrowByHints(ready, nodeName, labelsOf(nodeName)?.[LABEL_ZONE]);
}

/** Local draining endpoints come before ready ones elsewhere: a load balancer still sends here until it notices. */
function selectLocal(ready: Indexed[], draining: Indexed[], nodeName: string): Indexed[] {
  const here = ready.filter((endpoint) => endpoint.nodeName === nodeName);
  return here.length > 0 ? here : draining.filter((endpoint) => endpoint.nodeName === nodeName);
}

function scope(endpoints: readonly Indexed[], whenEmpty: DesiredScope['whenEmpty']): DesiredScope {
  return { backends: endpoints.map(({ index }) => index), whenEmpty };
}
