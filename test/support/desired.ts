// Desired services in few words, and what a data path reader makes of the maps.

import type { LbFrontend } from '../../src/abi/generated.js';
import * as abi from '../../src/abi/generated.js';
import type { DesiredBackend, DesiredFrontend, DesiredService } from '../../src/model/desired.js';
import { serviceId } from '../../src/model/desired.js';
import { frontendKeyLabel, frontendKeyText, runOf } from '../../src/plan/index.js';
import type { FakeMapStore } from './mapStore.js';

export interface BackendSpec extends Partial<Omit<DesiredBackend, 'ip' | 'port'>> {
  at: string;
}

export interface ServiceSpec
  extends Partial<Omit<DesiredService, 'id' | 'backends' | 'frontends' | 'internal' | 'cluster' | 'local'>> {
  frontends: DesiredFrontend[];
  /** `ip:port`, usable everywhere; or with conditions. */
  backends: (string | BackendSpec)[];
  whenEmpty?: 'reject' | 'drop';
}

/** A desired service; scopes follow from the backends' in* fields. */
export function desiredService(spec: ServiceSpec): DesiredService {
  const { frontends, backends: specs, whenEmpty = 'reject', ...rest } = spec;
  const backends = specs.map((s) => backend(typeof s === 'string' ? { at: s } : s));
  const scope = (member: (b: DesiredBackend) => boolean) => ({
    backends: backends.flatMap((b, i) => (member(b) ? [i] : [])),
    whenEmpty,
  });
  const named = {
    namespace: 'default',
    name: 'web',
    portName: '',
    protocol: 'TCP' as const,
    family: 4 as const,
    ...rest,
  };
  return {
    id: serviceId(named.namespace, named.name, named.portName, named.protocol, named.family),
    affinity: { mode: 'None' },
    algorithm: 'random',
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    ...named,
    frontends,
    backends,
    internal: scope((b) => b.inInternal),
    cluster: scope((b) => b.inCluster),
    local: scope((b) => b.inLocal),
  };
}

function backend({ at, ...rest }: BackendSpec): DesiredBackend {
  const cut = at.lastIndexOf(':');
  return {
    ip: at.slice(0, cut),
    port: Number(at.slice(cut + 1)),
    ready: true,
    serving: true,
    terminating: false,
    onNode: false,
    inInternal: true,
    inCluster: true,
    inLocal: false,
    ...rest,
  };
}

export const clusterIP = (ip: string, port = 80): DesiredFrontend => ({ type: 'ClusterIP', ip, port });
export const nodePort = (port: number): DesiredFrontend => ({ type: 'NodePort', ip: '*', port });
export const loadBalancer = (ip: string, port = 80, sourceRanges?: string[]): DesiredFrontend => ({
  type: 'LoadBalancer',
  ip,
  port,
  ...(sourceRanges ? { sourceRanges } : {}),
});

/**
 * What a packet would meet at every frontend, as text; throws where it would meet a stale entry.
 * @param isDuring a plan is being applied: unknown ports of a cluster IP need not be refused yet.
 */
export function readAsDataPath(store: FakeMapStore, isDuring = false): Map<string, string> {
  const seen = new Map<string, string>();
  for (const { key, value } of store.maps.lb_frontends.values()) {
    const label = frontendKeyLabel(key);
    if (key.kind === abi.FRONTEND_KIND_EXACT) {
      const address = store.get('lb_addresses', key.addr);
      const needed =
        value.type === abi.FRONTEND_CLUSTER_IP ? abi.ADDRESS_F_CLUSTER_IP : abi.ADDRESS_F_EXTERNAL;
      const isKnown = isDuring && needed === abi.ADDRESS_F_CLUSTER_IP;
      if (!address || (!isKnown && (address.flags & needed) === 0))
        throw new Error(`${label}: its address is not known`);
      if (address.frontends < 1) throw new Error(`${label}: its address counts no frontend`);
    }
    const meta = store.get('meta_services', value.service_id);
    if (!meta) throw new Error(`${label}: service ${value.service_id} has no name`);
    const flags = value.flags & ~(abi.FRONTEND_F_INTERNAL_MAGLEV | abi.FRONTEND_F_EXTERNAL_MAGLEV);
    const text = [
      `${meta.namespace_}/${meta.name}:${meta.port_name}`,
      `type ${value.type} flags ${flags} affinity ${value.affinity_timeout_s}`,
      `internal ${side(store, label, value, value.internal, value.internal_mask)}`,
      `external ${side(store, label, value, value.external, value.external_mask)}`,
      `ranges ${ranges(store, value)}`,
    ];
    seen.set(frontendKeyText(key), text.join(' | '));
  }
  return seen;
}

function side(store: FakeMapStore, label: string, fe: LbFrontend, word: bigint, mask: number): string {
  const { base, count } = runOf(word);
  const found = new Set<string>();
  const list: string[] = [];
  for (let i = base; i < base + count; i++) {
    const id = store.slots[i] as number;
    const b = store.backends.get(id);
    if (!b) throw new Error(`${label}: slot ${i} leads to no backend`);
    if (b.service_id !== fe.service_id)
      throw new Error(`${label}: slot ${i} leads to service ${b.service_id}`);
    if ((b.state & abi.BACKEND_F_ALIVE) === 0) throw new Error(`${label}: slot ${i} leads to a dead backend`);
    if ((b.state & mask) === 0) throw new Error(`${label}: slot ${i} leads to a backend outside its scope`);
    const where = `${b.addr}:${b.port}`;
    if (!found.has(where)) list.push(where);
    found.add(where);
  }
  return list.sort().join(',') || 'nobody';
}

function ranges(store: FakeMapStore, fe: LbFrontend): string {
  if ((fe.flags & abi.FRONTEND_F_SOURCE_RANGES) === 0) return 'open';
  const keys = [...store.maps.lb_src_ranges.values()].map((e) => e.key);
  const own = keys.filter((k) => k.range_set_id === fe.range_set_id).map((k) => `${k.addr}/${k.prefixlen}`);
  return own.sort().join(',') || 'closed';
}

/** What a packet should meet when the desired services are in the maps. */
export function expectedOf(services: readonly DesiredService[]): Map<string, string> {
  // A second, independent way to the same text: names and lists straight from the desired values.
  const seen = new Map<string, string>();
  for (const s of services) {
    for (const f of s.frontends) {
      const proto = { TCP: 6, UDP: 17, SCTP: 132 }[s.protocol];
      const kind = f.type === 'NodePort' ? s.family : 1;
      const addr = f.type === 'NodePort' ? '::' : f.ip;
      const isCluster = f.type === 'ClusterIP';
      const isLocal = s.externalTrafficPolicy === 'Local' && !isCluster;
      const inside = isCluster ? s.internal : s.cluster;
      const outside = isCluster ? s.internal : isLocal ? s.local : s.cluster;
      const list = (scope: { backends: number[] }) =>
        scope.backends
          .map((i) => `${s.backends[i]?.ip}:${s.backends[i]?.port}`)
          .sort()
          .join(',') || 'nobody';
      const type = { ClusterIP: 1, NodePort: 2, LoadBalancer: 3, ExternalIP: 4 }[f.type];
      const drops = (scope: { backends: number[]; whenEmpty: string }) =>
        scope.backends.length === 0 && scope.whenEmpty === 'drop';
      const flags =
        (s.affinity.mode === 'ClientIP' ? 1 : 0) +
        (drops(inside) ? 8 : 0) +
        (drops(outside) ? 16 : 0) +
        (isLocal ? 32 : 0) +
        (s.internalTrafficPolicy === 'Local' ? 64 : 0) +
        (f.sourceRanges ? 128 : 0) +
        (f.sourceRanges && f.nodeAllowed ? 256 : 0);
      const prefixes = f.sourceRanges?.map((r) => {
        const [ip, bits] = r.split('/');
        return `${ip}/${32 + (s.family === 4 ? 96 : 0) + Number(bits)}`;
      });
      const text = [
        `${s.namespace}/${s.name}:${s.portName}`,
        `type ${type} flags ${flags} affinity ${s.affinity.mode === 'ClientIP' ? s.affinity.timeoutSeconds : 0}`,
        `internal ${list(inside)}`,
        `external ${list(outside)}`,
        `ranges ${prefixes ? [...new Set(prefixes)].sort().join(',') || 'closed' : 'open'}`,
      ];
      seen.set(`${kind}|${addr}|${f.port}|${proto}`, text.join(' | '));
    }
  }
  return seen;
}
