/**
 * Every combination of client, frontend, policy and place of the backend, and what SEMANTICS says about it.
 * Pure: the rules are written down here a second time, independently of the product.
 */
import type { BoxMode, NetfilterPreset } from '../../../box/index.js';
import type { Family } from './standard.js';

/**
 * node1 is the node under test. Of another node's clients only what they send to node1's NodePort is looked
 * at: everything else is their own node's business.
 */
export const CLIENTS = ['pod', 'host', 'outside', 'other host', 'other pod'] as const;
export const PROTOCOLS = ['TCP', 'UDP'] as const;
export const FRONTENDS = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalIP'] as const;
/** Of the Service: its external and its internal policy at once. */
export const POLICIES = ['Cluster', 'Local'] as const;
/** A pod of node1, a pod of node2, no endpoint at all. */
export const BACKENDS = ['here', 'elsewhere', 'nowhere'] as const;

export type Client = (typeof CLIENTS)[number];
export type Protocol = (typeof PROTOCOLS)[number];
export type Frontend = (typeof FRONTENDS)[number];
export type Policy = (typeof POLICIES)[number];
export type Backend = (typeof BACKENDS)[number];

export interface Row {
  client: Client;
  protocol: Protocol;
  family: Family;
  frontend: Frontend;
  policy: Policy;
  backend: Backend;
}

/** The world that the rows are run in. */
export interface Setting {
  mode: BoxMode;
  netfilter: NetfilterPreset[];
  rpFilter: 0 | 1 | 2;
  bridgeNfCallIptables: 0 | 1;
  /** Flags of the agents that matter here. */
  hostRouting: 'past' | 'stack';
  externalSource: 'preserve' | 'masquerade';
  masqueradeAll: boolean;
  xdp: 'off' | 'force';
}

export const PLAIN: Setting = {
  mode: 'routed',
  netfilter: [],
  rpFilter: 2,
  bridgeNfCallIptables: 1,
  hostRouting: 'past',
  externalSource: 'preserve',
  masqueradeAll: false,
  xdp: 'off',
};

/**
 * What a row must show. `client`: the backend sees the client's own address; `node`: the address that node1
 * has on the way to the backend.
 */
export type Expectation =
  | { outcome: 'served'; source: 'client' | 'node' }
  | { outcome: 'silent' }
  | { outcome: 'refused' };

export interface RowChoice {
  clients?: readonly Client[];
  frontends?: readonly Frontend[];
  backends?: readonly Backend[];
}

/** All rows that a setting has. */
export function rowsOf(setting: Setting, choice: RowChoice = {}): Row[] {
  const rows: Row[] = [];
  for (const client of choice.clients ?? CLIENTS)
    for (const frontend of choice.frontends ?? FRONTENDS)
      for (const policy of POLICIES)
        for (const backend of choice.backends ?? BACKENDS)
          for (const protocol of PROTOCOLS)
            for (const family of [4, 6] as const) {
              const row = { client, protocol, family, frontend, policy, backend };
              if (exists(row, setting)) rows.push(row);
            }
  return rows;
}

function exists(row: Row, setting: Setting): boolean {
  const isOfOtherNode = row.client === 'other host' || row.client === 'other pod';
  if (isOfOtherNode && row.frontend !== 'NodePort') return false;
  // A pod's packet to another node's own address leaves by the underlay with the pod's address, but the
  // route back leads through the overlay: strict rp_filter drops it, with Shunt or without. Flannel's
  // MASQUERADE, which gives it the address of its node, is what makes this work.
  const isAsymmetric = hasOverlay(setting) && !setting.netfilter.includes('masquerade');
  return !(row.client === 'other pod' && isAsymmetric && setting.rpFilter === 1);
}

export function hasOverlay(setting: Setting): boolean {
  return setting.mode === 'vxlan' || setting.mode === 'flannel' || setting.mode === 'tunnel';
}

/** Does the row's packet reach node1 with the address of node2, whoever sent it? */
export function isMasqueradedBefore(row: Row, setting: Setting): boolean {
  return row.client === 'other pod' && setting.netfilter.includes('masquerade');
}

/** SEMANTICS 3 and 6 (who is served) and 7 (which source the backend sees). */
export function expectationOf(row: Row, setting: Setting): Expectation {
  if (row.backend === 'nowhere') return { outcome: 'refused' };
  const { client, policy, frontend } = row;
  const isClusterIp = frontend === 'ClusterIP';
  // Section 3: pods of this cluster and this node itself use the Cluster list of external frontends.
  const isInside =
    client === 'pod' || client === 'host' || (client === 'other pod' && !isMasqueradedBefore(row, setting));
  const isConfined = policy === 'Local' && (isClusterIp || !isInside);
  if (isConfined && row.backend === 'elsewhere') return { outcome: 'silent' };
  return { outcome: 'served', source: sourceOf(row, setting, isInside) };
}

function sourceOf(row: Row, setting: Setting, isInside: boolean): 'client' | 'node' {
  const { client, policy, frontend, backend } = row;
  if (client === 'host') return 'node';
  // Section 7, last sentences: --masquerade-all is about cluster IPs, and kube-proxy's form of the external
  // frontends keeps the source under Local.
  const isMasqueraded =
    frontend === 'ClusterIP'
      ? setting.masqueradeAll
      : setting.externalSource === 'masquerade' && policy === 'Cluster';
  if (isMasqueraded) return 'node';
  if (client === 'pod') return 'client';
  // The reply of a backend elsewhere would not come back here, not even to a pod of another node.
  const isKept = policy === 'Local' && !isInside && frontend !== 'ClusterIP';
  return backend === 'here' || isKept ? 'client' : 'node';
}

const CLIENT_NAMES: Record<Client, string> = {
  pod: 'pod',
  host: 'process of the node',
  outside: 'outside',
  'other host': "another node's process",
  'other pod': "another node's pod",
};

export function rowName(row: Row, expected: Expectation): string {
  const what =
    expected.outcome === 'served'
      ? `served, source is the ${expected.source === 'node' ? "node's" : "client's"}`
      : expected.outcome;
  return (
    `${CLIENT_NAMES[row.client]} -> ${row.frontend}, ${row.protocol}, IPv${row.family}, ` +
    `${row.policy}, backend ${row.backend}: ${what}`
  );
}

export function settingName(s: Setting): string {
  return [
    s.mode,
    s.netfilter.length === 0 ? 'no netfilter' : s.netfilter.join('+'),
    `rp_filter ${s.rpFilter}`,
    ...(s.mode === 'bridge' || s.mode === 'flannel'
      ? [`bridge-nf-call-iptables ${s.bridgeNfCallIptables}`]
      : []),
    ...(s.hostRouting === 'stack' ? ['--host-routing=stack'] : []),
    ...(s.externalSource === 'masquerade' ? ['--external-source=masquerade'] : []),
    ...(s.masqueradeAll ? ['--masquerade-all'] : []),
    ...(s.xdp === 'force' ? ['--xdp=force'] : []),
  ].join(', ');
}
