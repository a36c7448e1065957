import {
  enumName,
  FRONTEND_F_AFFINITY,
  FRONTEND_F_EXTERNAL_DROP,
  FRONTEND_F_EXTERNAL_LOCAL,
  FRONTEND_F_EXTERNAL_MAGLEV,
  FRONTEND_F_INTERNAL_DROP,
  FRONTEND_F_INTERNAL_LOCAL,
  FRONTEND_F_INTERNAL_MAGLEV,
  FRONTEND_KIND_EXACT,
  FRONTEND_KIND_NODEPORT6,
  type LbFrontend,
  type LbFrontendKey,
  lb_frontend_type,
} from '../../abi/index.js';
import { protocolName } from '../output/text.js';
import type { MapsReader } from '../reader.js';
import { type BackendState, Catalog, type ServiceName } from './catalog.js';
import { sumShards } from './counters.js';
import { addressKey, by } from './order.js';

export type Scope = 'internal' | 'external';

export interface ServiceBackend extends BackendState {
  /** Scopes of this frontend that choose from it now; empty: known, but not usable. */
  usedFor: Scope[];
}

/** One frontend, as `services -o json` prints it. */
export interface ServiceRow extends ServiceName {
  type: string;
  /** '*' for a NodePort. */
  ip: string;
  port: number;
  protocol: string;
  externalTrafficPolicy: 'Cluster' | 'Local';
  internalTrafficPolicy: 'Cluster' | 'Local';
  affinity: { mode: 'None' | 'ClientIP'; timeoutSeconds: number | null };
  backends: ServiceBackend[];
}

export interface FrontendView {
  row: ServiceRow;
  family: 4 | 6;
  /** Usable backends of each scope, or what new traffic gets when there is none. */
  usable: Record<Scope, number | 'drop' | 'reject'>;
  algorithm: 'random' | 'maglev';
  /** Counted by service port, so the frontends of one port show the same numbers. */
  newFlows: number;
  refused: number;
  dropped: number;
}

const TYPES: Record<string, string> = {
  FRONTEND_CLUSTER_IP: 'ClusterIP',
  FRONTEND_NODE_PORT: 'NodePort',
  FRONTEND_LOAD_BALANCER: 'LoadBalancer',
  FRONTEND_EXTERNAL_IP: 'ExternalIP',
};

/** Every frontend in lb_frontends: by namespace, name, port, type and address. */
export function viewServices(reader: MapsReader, namespace?: string): FrontendView[] {
  const catalog = new Catalog(reader);
  const stats = sumShards(reader, 'stats_services');
  const views: FrontendView[] = [];
  const typeOrder = new Map<FrontendView, number>();
  for (const [key, value] of reader.entries('lb_frontends')) {
    const name = catalog.nameOf(value.service_id);
    if (namespace !== undefined && name.namespace !== namespace) continue;
    const counted = stats.get(value.service_id);
    const view: FrontendView = {
      row: describeFrontend(catalog, name, key, value),
      family: familyOf(key),
      usable: { internal: usable(catalog, value, 'internal'), external: usable(catalog, value, 'external') },
      algorithm:
        value.flags & (FRONTEND_F_INTERNAL_MAGLEV | FRONTEND_F_EXTERNAL_MAGLEV) ? 'maglev' : 'random',
      newFlows: counted?.new_flows ?? 0,
      refused: counted?.refused ?? 0,
      dropped: counted?.dropped ?? 0,
    };
    views.push(view);
    typeOrder.set(view, value.type);
  }
  return views.sort(
    by(
      (v) => v.row.namespace,
      (v) => v.row.name,
      (v) => v.row.portName,
      (v) => v.row.protocol,
      (v) => typeOrder.get(v) ?? 0,
      (v) => v.family,
      (v) => addressKey(v.row.ip),
      (v) => v.row.port,
    ),
  );
}

function familyOf(key: LbFrontendKey): 4 | 6 {
  if (key.kind === FRONTEND_KIND_EXACT) return key.addr.includes(':') ? 6 : 4;
  return key.kind === FRONTEND_KIND_NODEPORT6 ? 6 : 4;
}

function describeFrontend(
  catalog: Catalog,
  name: ServiceName,
  key: LbFrontendKey,
  value: LbFrontend,
): ServiceRow {
  const typeName = enumName(lb_frontend_type, value.type);
  const sticky = (value.flags & FRONTEND_F_AFFINITY) !== 0;
  return {
    ...name,
    type: TYPES[typeName] ?? typeName,
    ip: key.kind === FRONTEND_KIND_EXACT ? key.addr : '*',
    port: key.port,
    protocol: protocolName(key.proto),
    externalTrafficPolicy: value.flags & FRONTEND_F_EXTERNAL_LOCAL ? 'Local' : 'Cluster',
    internalTrafficPolicy: value.flags & FRONTEND_F_INTERNAL_LOCAL ? 'Local' : 'Cluster',
    affinity: sticky
      ? { mode: 'ClientIP', timeoutSeconds: value.affinity_timeout_s }
      : { mode: 'None', timeoutSeconds: null },
    backends: catalog.backendsOf(value.service_id).map((b) => ({
      ip: b.ip,
      port: b.port,
      nodeName: b.nodeName,
      zone: b.zone,
      ready: b.ready,
      serving: b.serving,
      terminating: b.terminating,
      local: b.local,
      usedFor: scopesOf(catalog, value, b.id),
    })),
  };
}

/** What the data path really chooses from: membership in the run of slots, not a flag beside it. */
export function scopesOf(catalog: Catalog, frontend: LbFrontend, backendId: number): Scope[] {
  const scopes: Scope[] = [];
  if (catalog.members(frontend.internal).has(backendId)) scopes.push('internal');
  if (catalog.members(frontend.external).has(backendId)) scopes.push('external');
  return scopes;
}

function usable(catalog: Catalog, frontend: LbFrontend, scope: Scope): number | 'drop' | 'reject' {
  const count = catalog.members(frontend[scope]).size;
  if (count > 0) return count;
  const drops = scope === 'internal' ? FRONTEND_F_INTERNAL_DROP : FRONTEND_F_EXTERNAL_DROP;
  return frontend.flags & drops ? 'drop' : 'reject';
}
