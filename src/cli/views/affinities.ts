import type { MapsReader } from '../reader.js';
import { Catalog, type ServiceName } from './catalog.js';
import { addressKey, by, secondsBetween } from './order.js';

export interface AffinityRow extends ServiceName {
  protocol: string;
  /** Address of the client, or 'node' for this node itself. */
  client: string;
  /** null: the remembered backend is no more, so the next connection chooses anew. */
  backend: { ip: string; port: number } | null;
  idleSeconds: number;
  /** 0: expired, but not yet overwritten. */
  expiresInSeconds: number;
}

/** Remembered choices: by namespace, name, port, client. */
export function viewAffinities(reader: MapsReader, namespace?: string): AffinityRow[] {
  const now = reader.nowNs();
  const catalog = new Catalog(reader);
  const rows: AffinityRow[] = [];
  for (const [key, value] of reader.entries('lb_affinity')) {
    const name = catalog.nameOf(key.service_id);
    if (namespace !== undefined && name.namespace !== namespace) continue;
    const meta = catalog.services.get(key.service_id);
    const backend = catalog.backend(value.backend_id, value.backend_generation);
    const idleSeconds = secondsBetween(value.last_used_ns, now);
    const left = (meta?.affinity_timeout_s ?? 0) - idleSeconds;
    rows.push({
      ...name,
      protocol: backend?.protocol ?? '',
      client: isZero(key.client) ? 'node' : key.client,
      backend: backend ? { ip: backend.ip, port: backend.port } : null,
      idleSeconds,
      expiresInSeconds: left > 0 ? Math.round(left * 1e3) / 1e3 : 0,
    });
  }
  return rows.sort(
    by(
      (r) => r.namespace,
      (r) => r.name,
      (r) => r.portName,
      (r) => r.protocol,
      (r) => (r.client === 'node' ? '' : addressKey(r.client)),
    ),
  );
}

function isZero(address: string): boolean {
  return address === '::' || address === '0.0.0.0';
}
