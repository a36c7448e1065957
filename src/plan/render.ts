/** Desired values -> map values, without ids of their own: pure functions of their arguments. */

import type { LbFrontend, LbFrontendKey, LbSrcRangeKey, MetaService } from '../abi/generated.js';
import * as abi from '../abi/generated.js';
import { isUnparsable, kindOf, parseAddress, parseCidr } from '../model/addresses.js';
import type { DesiredBackend, DesiredFrontend, DesiredService } from '../model/desired.js';
import { runWord } from './ops.js';
import type { Run } from './state.js';

export const IPPROTO = { TCP: 6, UDP: 17, SCTP: 132 } as const;

export type ScopeName = 'internal' | 'cluster' | 'local';

const SCOPE_MASK: Record<ScopeName, number> = {
  internal: abi.BACKEND_F_IN_INTERNAL,
  cluster: abi.BACKEND_F_IN_CLUSTER,
  local: abi.BACKEND_F_IN_LOCAL,
};

const TYPES = {
  ClusterIP: abi.FRONTEND_CLUSTER_IP,
  NodePort: abi.FRONTEND_NODE_PORT,
  LoadBalancer: abi.FRONTEND_LOAD_BALANCER,
  ExternalIP: abi.FRONTEND_EXTERNAL_IP,
} as const;

/** Which lists a frontend uses: for pods and this node, and for everyone else. */
export function scopesOf(
  service: DesiredService,
  frontend: DesiredFrontend,
): { internal: ScopeName; external: ScopeName } {
  if (frontend.type === 'ClusterIP') return { internal: 'internal', external: 'internal' };
  return { internal: 'cluster', external: service.externalTrafficPolicy === 'Local' ? 'local' : 'cluster' };
}

export function renderMeta(service: DesiredService): MetaService {
  const { affinity } = service;
  return {
    namespace_: service.namespace,
    name: service.name,
    port_name: service.portName,
    family: service.family,
    proto: IPPROTO[service.protocol],
    affinity: affinity.mode === 'ClientIP' ? 1 : 0,
    affinity_timeout_s: timeoutSeconds(affinity),
  };
}

/** The API allows 1..86400; a manifest that says otherwise must not stop the writer. */
function timeoutSeconds(affinity: DesiredService['affinity']): number {
  if (affinity.mode !== 'ClientIP') return 0;
  const seconds = Math.trunc(affinity.timeoutSeconds);
  return seconds >= 1 ? Math.min(seconds, 86_400) : 10_800;
}

export function sameMeta(a: MetaService, b: MetaService): boolean {
  return a.affinity === b.affinity && a.affinity_timeout_s === b.affinity_timeout_s;
}

export function renderState(b: DesiredBackend): number {
  return (
    abi.BACKEND_F_ALIVE |
    (b.ready ? abi.BACKEND_F_READY : 0) |
    (b.serving ? abi.BACKEND_F_SERVING : 0) |
    (b.terminating ? abi.BACKEND_F_TERMINATING : 0) |
    (b.onNode ? abi.BACKEND_F_ON_NODE : 0) |
    (b.inInternal ? abi.BACKEND_F_IN_INTERNAL : 0) |
    (b.inCluster ? abi.BACKEND_F_IN_CLUSTER : 0) |
    (b.inLocal ? abi.BACKEND_F_IN_LOCAL : 0)
  );
}

/** Bits that stay set until the frontends have flipped: without them an old list's entry is unusable. */
export const STATE_KEPT_UNTIL_FLIP =
  abi.BACKEND_F_ALIVE |
  abi.BACKEND_F_SERVING |
  abi.BACKEND_F_IN_INTERNAL |
  abi.BACKEND_F_IN_CLUSTER |
  abi.BACKEND_F_IN_LOCAL;

export function renderFrontendKey(service: DesiredService, frontend: DesiredFrontend): LbFrontendKey {
  const common = { port: frontend.port, proto: IPPROTO[service.protocol] };
  if (frontend.type !== 'NodePort') return { addr: frontend.ip, ...common, kind: abi.FRONTEND_KIND_EXACT };
  const kind = service.family === 4 ? abi.FRONTEND_KIND_NODEPORT4 : abi.FRONTEND_KIND_NODEPORT6;
  return { addr: '::', ...common, kind };
}

export function renderFrontend(
  service: DesiredService,
  frontend: DesiredFrontend,
  ids: { serviceId: number; rangeSetId: number },
  runs: (scope: ScopeName) => Run | undefined,
): LbFrontend {
  const scopes = scopesOf(service, frontend);
  const internal = runWord(runs(scopes.internal));
  const external = runWord(runs(scopes.external));
  const isMaglev = service.algorithm === 'maglev';
  const isExternal = frontend.type !== 'ClusterIP';
  const drops = (word: bigint, scope: ScopeName) => word === 0n && service[scope].whenEmpty === 'drop';
  const { affinity } = service;
  const flags = [
    affinity.mode === 'ClientIP' && abi.FRONTEND_F_AFFINITY,
    isMaglev && internal !== 0n && abi.FRONTEND_F_INTERNAL_MAGLEV,
    isMaglev && external !== 0n && abi.FRONTEND_F_EXTERNAL_MAGLEV,
    drops(internal, scopes.internal) && abi.FRONTEND_F_INTERNAL_DROP,
    drops(external, scopes.external) && abi.FRONTEND_F_EXTERNAL_DROP,
    isExternal && service.externalTrafficPolicy === 'Local' && abi.FRONTEND_F_EXTERNAL_LOCAL,
    service.internalTrafficPolicy === 'Local' && abi.FRONTEND_F_INTERNAL_LOCAL,
    frontend.sourceRanges !== undefined && abi.FRONTEND_F_SOURCE_RANGES,
    frontend.sourceRanges !== undefined && frontend.nodeAllowed === true && abi.FRONTEND_F_NODE_ALLOWED,
  ];
  return {
    internal,
    external,
    service_id: ids.serviceId,
    flags: flags.reduce<number>((all, flag) => all | (flag || 0), 0),
    affinity_timeout_s: timeoutSeconds(affinity),
    range_set_id: ids.rangeSetId,
    internal_mask: SCOPE_MASK[scopes.internal],
    external_mask: SCOPE_MASK[scopes.external],
    type: TYPES[frontend.type],
  };
}

/** Entries of lb_src_ranges for a list of prefixes: host bits cleared, each once. */
export function renderRanges(id: number, prefixes: readonly string[]): LbSrcRangeKey[] {
  const keys = new Map<string, LbSrcRangeKey>();
  for (const prefix of prefixes) {
    const cidr = parseCidr(prefix);
    if (isUnparsable(cidr)) throw new RangeError(`source range '${prefix}' ${cidr.reason}`);
    const addr = cidr.text.slice(0, cidr.text.indexOf('/'));
    const prefixlen = 32 + (cidr.family === 4 ? 96 : 0) + cidr.prefixLength;
    keys.set(cidr.text, { prefixlen, range_set_id: id, addr });
  }
  return [...keys.values()];
}

/** One text for one set of prefixes, whatever their order. */
export function rangeSetText(keys: readonly LbSrcRangeKey[]): string {
  return keys
    .map((k) => `${k.addr}/${k.prefixlen}`)
    .sort()
    .join(' ');
}

/**
 * What the map writer refuses, whoever let it pass before: a wrong address here would be somebody
 * else's traffic. Returns why, or undefined.
 */
export function refusedAddress(ip: string, family: 4 | 6, asBackend: boolean): string | undefined {
  const address = parseAddress(ip);
  if (isUnparsable(address)) return `address '${ip}' ${address.reason}`;
  if (address.text !== ip || address.family !== family)
    return `address '${ip}' is not IPv${family}'s canonical text`;
  const kind = kindOf(address);
  if (kind === 'unicast') return undefined;
  if (!asBackend && (kind === 'link-local' || kind === 'loopback')) return undefined;
  return `address '${ip}' is ${kind}`;
}

export function refusedPort(port: number): string | undefined {
  return Number.isInteger(port) && port >= 1 && port <= 65535 ? undefined : `port ${port} is not 1..65535`;
}
