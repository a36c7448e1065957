import type { LbFrontend, LbFrontendKey } from '../abi/index.js';
import * as abi from '../abi/index.js';
import { runOf } from '../plan/index.js';
import { PROTOCOLS } from './protocols.js';
import type { BackendView, FrontendView, ServiceRef } from './views.js';

export interface FrontendRow {
  key: LbFrontendKey;
  value: LbFrontend;
}

export interface FrontendContext {
  ref: ServiceRef;
  isExternalLocal: boolean;
  /** All of the service. */
  backends: readonly BackendView[];
  sourceRanges: readonly string[];
  slot(index: number): number;
}

const TYPES = {
  [abi.FRONTEND_CLUSTER_IP]: 'ClusterIP',
  [abi.FRONTEND_NODE_PORT]: 'NodePort',
  [abi.FRONTEND_LOAD_BALANCER]: 'LoadBalancer',
  [abi.FRONTEND_EXTERNAL_IP]: 'ExternalIP',
} as const;

export function frontendView({ key, value }: FrontendRow, context: FrontendContext): FrontendView {
  const has = (flag: number) => (value.flags & flag) !== 0;
  const isNodePort = key.kind !== abi.FRONTEND_KIND_EXACT;
  const internal = idsOf(value.internal, context);
  const external = idsOf(value.external, context);
  const isSixth = isNodePort ? key.kind === abi.FRONTEND_KIND_NODEPORT6 : key.addr.includes(':');
  return {
    ...context.ref,
    type: TYPES[value.type as keyof typeof TYPES] ?? 'ClusterIP',
    ip: isNodePort ? '*' : key.addr,
    port: key.port,
    protocol: PROTOCOLS[key.proto] ?? 'TCP',
    family: isSixth ? 6 : 4,
    externalTrafficPolicy: context.isExternalLocal ? 'Local' : 'Cluster',
    internalTrafficPolicy: has(abi.FRONTEND_F_INTERNAL_LOCAL) ? 'Local' : 'Cluster',
    affinity: has(abi.FRONTEND_F_AFFINITY)
      ? { mode: 'ClientIP', timeoutSeconds: value.affinity_timeout_s }
      : { mode: 'None' },
    algorithm: has(abi.FRONTEND_F_INTERNAL_MAGLEV | abi.FRONTEND_F_EXTERNAL_MAGLEV) ? 'maglev' : 'random',
    ...(has(abi.FRONTEND_F_SOURCE_RANGES) ? { sourceRanges: [...context.sourceRanges].sort() } : {}),
    whenEmpty: {
      internal: has(abi.FRONTEND_F_INTERNAL_DROP) ? 'drop' : 'reject',
      external: has(abi.FRONTEND_F_EXTERNAL_DROP) ? 'drop' : 'reject',
    },
    backends: [...context.backends].sort(compareBackends).map((b) => ({
      ...b,
      usedFor: [
        ...(internal.has(b.id) ? (['internal'] as const) : []),
        ...(external.has(b.id) ? (['external'] as const) : []),
      ],
    })),
  };
}

/** Backends that the run leads to: what packets meet, not what was meant. */
function idsOf(word: bigint, context: FrontendContext): Set<number> {
  const { base, count } = runOf(word);
  const ids = new Set<number>();
  for (let i = 0; i < count; i++) ids.add(context.slot(base + i));
  return ids;
}

function compareBackends(a: BackendView, b: BackendView): number {
  const first = abi.addrToBytes(a.ip);
  const second = abi.addrToBytes(b.ip);
  for (let i = 0; i < 16; i++) {
    const difference = (first[i] as number) - (second[i] as number);
    if (difference !== 0) return difference;
  }
  return a.port - b.port;
}
