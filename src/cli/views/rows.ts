import type { AffinityView, BackendView, FlowView, FrontendView } from '../../datapath/index.js';
import type { LiveState } from '../reader.js';
import { addressKey, serviceName, sortedBy } from './order.js';

// What the listing commands print as JSON and YAML: the reader's views, with names for people, unknown values as
// null, and in an order that equal states share.

interface PortName {
  namespace: string;
  name: string;
  portName: string;
}

export interface ServiceRow extends PortName {
  type: string;
  /** '*' for a NodePort. */
  ip: string;
  port: number;
  protocol: string;
  externalTrafficPolicy: string;
  internalTrafficPolicy: string;
  affinity: { mode: string; timeoutSeconds: number | null };
  backends: {
    ip: string;
    port: number;
    nodeName: string | null;
    zone: string | null;
    ready: boolean;
    serving: boolean;
    terminating: boolean;
    local: boolean;
    /** Scopes that choose from it now; empty: known, but not usable. */
    usedFor: Scope[];
  }[];
}

export type Scope = 'internal' | 'external';

/** By namespace, name, port name and protocol, then as the reader sorts (type, family, port, address). */
export function frontends(live: LiveState, namespace?: string): FrontendView[] {
  return sortedBy(within(live.maps.frontends(), namespace), ...portKeys<FrontendView>());
}

export function serviceRow(view: FrontendView): ServiceRow {
  return {
    ...portName(view),
    type: view.type,
    ip: view.ip,
    port: view.port,
    protocol: view.protocol,
    externalTrafficPolicy: view.externalTrafficPolicy,
    internalTrafficPolicy: view.internalTrafficPolicy,
    affinity: {
      mode: view.affinity.mode,
      timeoutSeconds: view.affinity.mode === 'ClientIP' ? view.affinity.timeoutSeconds : null,
    },
    backends: view.backends.map((b) => ({
      ip: b.ip,
      port: b.port,
      nodeName: b.nodeName || null,
      zone: b.zone || null,
      ready: b.ready,
      serving: b.serving,
      terminating: b.terminating,
      local: b.local,
      usedFor: b.usedFor,
    })),
  };
}

export interface BackendRow extends PortName {
  ip: string;
  port: number;
  protocol: string;
  nodeName: string | null;
  zone: string | null;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  local: boolean;
  /** Over all frontends of the service port. */
  usedFor: Scope[];
  newFlows: number;
  id: number;
}

export function backends(live: LiveState, namespace?: string): BackendRow[] {
  const used = new Map<number, Set<Scope>>();
  for (const frontend of live.maps.frontends()) {
    for (const { id, usedFor } of frontend.backends) {
      const scopes = used.get(id) ?? new Set();
      for (const scope of usedFor) scopes.add(scope);
      used.set(id, scopes);
    }
  }
  const sorted = sortedBy(
    within([...live.maps.backends().values()], namespace),
    ...portKeys<BackendView>(),
    (b) => addressKey(b.ip),
    (b) => b.port,
    (b) => b.id,
  );
  return sorted.map((b) => ({
    ...portName(b),
    ip: b.ip,
    port: b.port,
    protocol: b.protocol,
    nodeName: b.nodeName || null,
    zone: b.zone || null,
    ready: b.ready,
    serving: b.serving,
    terminating: b.terminating,
    local: b.local,
    usedFor: (['internal', 'external'] as const).filter((scope) => used.get(b.id)?.has(scope)),
    newFlows: b.newFlows,
    id: b.id,
  }));
}

export interface FlowRow extends PortName {
  protocol: string;
  client: { ip: string; port: number };
  frontend: { ip: string; port: number };
  backend: { ip: string; port: number };
  /** What the backend sees as its peer, when that is not the client. */
  snat: { ip: string; port: number } | null;
  state: string;
  /** stack: handed up translated; tc, xdp: redirected past it; hairpin: back to the pod; node: this node asked. */
  way: 'stack' | 'tc' | 'xdp' | 'hairpin' | 'node';
  ageSeconds: number;
  idleSeconds: number;
  packets: number;
  bytes: number;
  replyPackets: number;
  replyBytes: number;
}

/** By protocol, client, frontend. A flow that moves to another table while we read is printed once. */
export function flows(live: LiveState, namespace?: string): FlowRow[] {
  const found = new Map<string, FlowView>();
  for (const flow of within(live.maps.flows(live.nowNs()), namespace)) {
    const { protocol, client, frontend } = flow;
    const id = `${protocol} ${client.ip} ${client.port} ${frontend.ip} ${frontend.port}`;
    if (!found.has(id)) found.set(id, flow);
  }
  const sorted = sortedBy(
    found.values(),
    (f) => f.protocol,
    (f) => addressKey(f.client.ip),
    (f) => f.client.port,
    (f) => addressKey(f.frontend.ip),
    (f) => f.frontend.port,
  );
  return sorted.map((f) => ({
    ...portName(f),
    protocol: f.protocol,
    client: f.client,
    frontend: f.frontend,
    backend: { ip: f.backend.ip, port: f.backend.port },
    snat: f.source.ip === f.client.ip && f.source.port === f.client.port ? null : f.source,
    state: f.state,
    way: wayOf(f.flags),
    ageSeconds: f.ageSeconds,
    idleSeconds: f.idleSeconds,
    packets: f.packets,
    bytes: f.bytes,
    replyPackets: f.replyPackets,
    replyBytes: f.replyBytes,
  }));
}

function wayOf(flags: string[]): FlowRow['way'] {
  if (flags.includes('hairpin')) return 'hairpin';
  if (flags.includes('past_stack')) return flags.includes('via_xdp') ? 'xdp' : 'tc';
  return flags.includes('node_client') ? 'node' : 'stack';
}

export interface AffinityRow extends PortName {
  /** Address of the client, or 'node' for this node itself. */
  client: string;
  /** null: the remembered backend is no more, so the next connection chooses anew. */
  backend: { ip: string; port: number } | null;
  idleSeconds: number;
  /** 0: expired, but not yet overwritten. */
  expiresInSeconds: number;
}

export function affinities(live: LiveState, namespace?: string): AffinityRow[] {
  const sorted = sortedBy<AffinityView>(
    within(live.maps.affinities(live.nowNs()), namespace),
    (a) => a.namespace,
    serviceName,
    (a) => a.portName,
    (a) => a.serviceId,
    (a) => addressKey(a.client),
  );
  return sorted.map((a) => ({
    ...portName(a),
    client: a.client || 'node',
    backend: a.backend ? { ip: a.backend.ip, port: a.backend.port } : null,
    idleSeconds: a.idleSeconds,
    expiresInSeconds: Math.max(0, Math.round((a.timeoutSeconds - a.idleSeconds) * 1000) / 1000),
  }));
}

function within<T extends { namespace: string }>(views: T[], namespace: string | undefined): T[] {
  return namespace === undefined ? views : views.filter((view) => view.namespace === namespace);
}

function portName(view: { serviceId: number } & PortName): PortName {
  return { namespace: view.namespace, name: serviceName(view), portName: view.portName };
}

function portKeys<T extends PortName & { serviceId: number; protocol: string }>() {
  return [
    (view: T) => view.namespace,
    (view: T) => serviceName(view),
    (view: T) => view.portName,
    (view: T) => view.protocol,
  ];
}
