// Which of the ready endpoints are near enough. SEMANTICS section 4.

export const LABEL_ZONE = 'topology.kubernetes.io/zone';
export const LABEL_HOSTNAME = 'kubernetes.io/hostname';
/** In shunt.dev/topology-keys: any endpoint. */
export const ANY_TOPOLOGY = '*';

export type Labels = Readonly<Record<string, string>>;
/** Labels of a node; undefined when no Node of that name is known. */
export type LabelsOf = (nodeName: string) => Labels | undefined;

export interface PlacedEndpoint {
  readonly nodeName?: string;
  readonly zone?: string;
  readonly hintZones?: readonly string[];
  readonly hintNodes?: readonly string[];
}

/**
 * By hints: those for this node, else those for its zone, else all. A kind of hint counts only if every ready
 * endpoint carries it, and then only if one of them names this node or zone.
 */
export function narrowByHints<E extends PlacedEndpoint>(
  ready: readonly E[],
  nodeName: string,
  zone: string | undefined,
): readonly E[] {
  if (ready.every((endpoint) => endpoint.hintNodes?.length)) {
    const here = ready.filter((endpoint) => endpoint.hintNodes?.includes(nodeName));
    if (here.length > 0) return here;
  }
  if (zone && ready.every((endpoint) => endpoint.hintZones?.length)) {
    const near = ready.filter((endpoint) => endpoint.hintZones?.includes(zone));
    if (near.length > 0) return near;
  }
  return ready;
}

/**
 * By node labels: the first key for which some endpoint's node has the same value as this node decides. '*' matches
 * every endpoint. Nothing matches: no endpoint.
 */
export function narrowByKeys<E extends PlacedEndpoint>(
  ready: readonly E[],
  keys: readonly string[],
  nodeName: string,
  labelsOf: LabelsOf,
): readonly E[] {
  for (const key of keys) {
    if (key === ANY_TOPOLOGY) return ready;
    const own = labelOfNode(nodeName, key, labelsOf);
    if (own === undefined) continue;
    const near = ready.filter((endpoint) => labelOfEndpoint(endpoint, key, labelsOf) === own);
    if (near.length > 0) return near;
  }
  return [];
}

/** A node that we have no object of still has its name, which its hostname label repeats. */
export function labelsOrName(nodeName: string, labels: Labels | undefined): Labels {
  return labels ?? { [LABEL_HOSTNAME]: nodeName };
}

function labelOfNode(nodeName: string, key: string, labelsOf: LabelsOf): string | undefined {
  return labelsOrName(nodeName, labelsOf(nodeName))[key];
}

/** The slice repeats the zone of the endpoint's node; it answers where the Node does not. */
function labelOfEndpoint(endpoint: PlacedEndpoint, key: string, labelsOf: LabelsOf): string | undefined {
  const label = endpoint.nodeName === undefined ? undefined : labelOfNode(endpoint.nodeName, key, labelsOf);
  return label ?? (key === LABEL_ZONE ? endpoint.zone : undefined);
}
