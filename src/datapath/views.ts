/** What the maps say, in the words of the command line and the metrics. Addresses are text. */
import type { FrontendType } from '../model/desired.js';
import type { Protocol, TrafficPolicy } from '../model/objects.js';

export interface ServiceRef {
  /** 0: unknown, the service is gone. */
  serviceId: number;
  namespace: string;
  name: string;
  portName: string;
}

export interface BackendView extends ServiceRef {
  id: number;
  generation: number;
  ip: string;
  port: number;
  protocol: Protocol;
  /** '' when unknown. */
  nodeName: string;
  zone: string;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  /** On this node. */
  local: boolean;
  /** Lists of the service that it is in: of internalTrafficPolicy, the Cluster list, the external Local list. */
  scopes: ('internal' | 'cluster' | 'local')[];
  newFlows: number;
}

export interface FrontendView extends ServiceRef {
  type: FrontendType;
  /** '*' for a NodePort. */
  ip: string;
  port: number;
  protocol: Protocol;
  family: 4 | 6;
  externalTrafficPolicy: TrafficPolicy;
  internalTrafficPolicy: TrafficPolicy;
  affinity: { mode: 'None' } | { mode: 'ClientIP'; timeoutSeconds: number };
  algorithm: 'random' | 'maglev';
  /** Prefixes that may use it; absent: everybody. */
  sourceRanges?: string[];
  /** What new traffic gets, inside and outside clients apart, when their list is empty. */
  whenEmpty: { internal: 'reject' | 'drop'; external: 'reject' | 'drop' };
  /** All backends of the service; `usedFor` says whose traffic may reach them through this frontend. */
  backends: (BackendView & { usedFor: ('internal' | 'external')[] })[];
}

export type FlowState =
  | 'half-open'
  | 'established'
  | 'half-closed'
  | 'closing'
  | 'reset'
  | 'unreplied'
  | 'active';

export interface FlowView extends ServiceRef {
  table: 'ct_flows' | 'ct_half_open' | 'ct_any';
  protocol: Protocol | string;
  client: { ip: string; port: number };
  frontend: { ip: string; port: number };
  backend: { ip: string; port: number; id: number };
  /** Source that the backend sees. */
  source: { ip: string; port: number };
  state: FlowState;
  /** Lower-case names of CT_F_* bits. */
  flags: string[];
  ageSeconds: number;
  idleSeconds: number;
  packets: number;
  bytes: number;
  replyPackets: number;
  replyBytes: number;
}

export interface AffinityView extends ServiceRef {
  /** '' for this node itself. */
  client: string;
  backend: { ip: string; port: number; id: number } | undefined;
  idleSeconds: number;
  timeoutSeconds: number;
  /** The backend is still the one that was remembered and the time is not over. */
  valid: boolean;
}

export interface AddressView {
  ip: string;
  /** Lower-case names of ADDRESS_F_* bits. */
  flags: string[];
  frontends: number;
}

/** Counters since the id was given out. Narrowed from 64 bits to numbers, exact up to 2^53. */
export interface ServiceCounters {
  newFlows: number;
  packets: number;
  bytes: number;
  replyPackets: number;
  replyBytes: number;
  refused: number;
  dropped: number;
  affinityHits: number;
}

export interface TableView {
  name: string;
  /** BPF_MAP_TYPE_* */
  type: number;
  keyBytes: number;
  valueBytes: number;
  maxEntries: number;
  /** Entries in use; undefined where that has no meaning (counters, ring buffer). */
  used: number | undefined;
}
