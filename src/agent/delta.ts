import type { ClusterRanges, HealthCheckDelta } from '../model/desired.js';
import type { Change, Warning } from '../model/objects.js';

/** A service port of one family as the model wants it; only its identity matters here. */
export interface Identified {
  id: string;
}

export interface Delta<Service extends Identified> {
  upserts: Service[];
  removals: string[];
  warnings: Warning[];
  /** Present when a health check appeared, changed or went. */
  healthChecks?: HealthCheckDelta;
  /** Present when they are other ones now, whole. */
  clusterRanges?: ClusterRanges;
}

/** A change on its way to the maps. */
export interface Arrival {
  kind: Change['kind'];
  /** When it was received. */
  atMs: number;
  /** Of an EndpointSlice that says so: when what it tells happened, in milliseconds since 1970. */
  triggerTimeMs?: number;
  family?: 4 | 6;
}

/** A successful write. */
export interface Written {
  /** What has reached the maps with it. */
  arrivals: readonly Arrival[];
  startedMs: number;
  endedMs: number;
  /** Everything was compared, not only what changed. */
  full: boolean;
  /** Families of the service ports that changed. */
  families: ReadonlySet<4 | 6>;
}

export function emptyDelta<Service extends Identified>(): Delta<Service> {
  return { upserts: [], removals: [], warnings: [] };
}

/** Adds what came later; for each service the last word counts. */
export function mergeDelta<Service extends Identified>(sum: Delta<Service>, later: Delta<Service>): void {
  const upserts = new Map(sum.upserts.map((service) => [service.id, service]));
  const removals = new Set(sum.removals);
  for (const id of later.removals) {
    upserts.delete(id);
    removals.add(id);
  }
  for (const service of later.upserts) {
    upserts.set(service.id, service);
    removals.delete(service.id);
  }
  sum.upserts = [...upserts.values()];
  sum.removals = [...removals];
  sum.warnings.push(...later.warnings);
  if (later.clusterRanges) sum.clusterRanges = later.clusterRanges;
  if (later.healthChecks) sum.healthChecks = mergeHealthChecks(sum.healthChecks, later.healthChecks);
}

function mergeHealthChecks(sum: HealthCheckDelta | undefined, later: HealthCheckDelta): HealthCheckDelta {
  const keyOf = ({ namespace, name }: { namespace: string; name: string }) => `${namespace}/${name}`;
  const touched = new Set([...later.upserts.map(keyOf), ...later.removals]);
  return {
    upserts: [...(sum?.upserts.filter((check) => !touched.has(keyOf(check))) ?? []), ...later.upserts],
    removals: [...(sum?.removals.filter((key) => !touched.has(key)) ?? []), ...later.removals],
  };
}

export function arrivalOf(change: Change, atMs: number): Arrival {
  const { kind } = change;
  if (kind !== 'EndpointSlice' || change.object?.lastChangeTriggerTimeMs === undefined) return { kind, atMs };
  const { addressType, lastChangeTriggerTimeMs: triggerTimeMs } = change.object;
  return { kind, atMs, triggerTimeMs, family: addressType === 'IPv6' ? 6 : 4 };
}

/** By the last part of service ids. */
export function familiesOf({ upserts, removals }: Delta<Identified>): Set<4 | 6> {
  const families = new Set<4 | 6>();
  for (const { id } of upserts) families.add(id.endsWith('/IPv6') ? 6 : 4);
  for (const id of removals) families.add(id.endsWith('/IPv6') ? 6 : 4);
  return families;
}
