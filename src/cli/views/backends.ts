import type { MapsReader } from '../reader.js';
import { type BackendState, Catalog, type ServiceName } from './catalog.js';
import { addressKey, by } from './order.js';
import { type Scope, scopesOf } from './services.js';

export interface BackendRow extends ServiceName, BackendState {
  protocol: string;
  /** Over all frontends of the service port. */
  usedFor: Scope[];
  /** New flows since the backend got its id. */
  newFlows: number;
  id: number;
}

/** Every backend in use: by namespace, name, port, address. */
export function viewBackends(reader: MapsReader, namespace?: string): BackendRow[] {
  const catalog = new Catalog(reader);
  const newFlows = new Map(reader.entries('stats_backends'));
  const scopes = new Map<number, Set<Scope>>();
  for (const [, frontend] of reader.entries('lb_frontends')) {
    for (const { id } of catalog.backendsOf(frontend.service_id)) {
      const used = scopes.get(id) ?? new Set<Scope>();
      for (const scope of scopesOf(catalog, frontend, id)) used.add(scope);
      scopes.set(id, used);
    }
  }
  const rows: BackendRow[] = [];
  for (const { id, generation: _, serviceId, protocol, ...state } of catalog.backends.values()) {
    const name = catalog.nameOf(serviceId);
    if (namespace !== undefined && name.namespace !== namespace) continue;
    const used = scopes.get(id);
    rows.push({
      ...name,
      protocol,
      ...state,
      usedFor: (['internal', 'external'] as const).filter((scope) => used?.has(scope)),
      newFlows: Number(newFlows.get(id)?.new_flows ?? 0n),
      id,
    });
  }
  return rows.sort(
    by(
      (r) => r.namespace,
      (r) => r.name,
      (r) => r.portName,
      (r) => r.protocol,
      (r) => addressKey(r.ip),
      (r) => r.port,
      (r) => r.id,
    ),
  );
}
