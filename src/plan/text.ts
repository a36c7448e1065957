/** Ops and entries as one line each: the test oracle and the debug log. */
import type { LbBackend, LbFrontend, LbFrontendKey } from '../abi/generated.js';
import * as abi from '../abi/generated.js';
import { enumName, flagNames, shortName } from '../abi/index.js';
import { type Op, runOf } from './ops.js';

const PROTOCOLS: Record<number, string> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };

export function protocolName(proto: number): string {
  return PROTOCOLS[proto] ?? String(proto);
}

/** `10.0.0.1:80`, `[fd00::1]:80` */
export function hostPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

export function frontendKeyLabel(key: LbFrontendKey): string {
  const address =
    key.kind === abi.FRONTEND_KIND_EXACT
      ? hostPort(key.addr, key.port)
      : `*${key.kind === abi.FRONTEND_KIND_NODEPORT4 ? '4' : '6'}:${key.port}`;
  return `${address}/${protocolName(key.proto)}`;
}

export function backendStateText(state: number): string {
  if (state === 0) return 'dead';
  const names = flagNames(abi.lb_backend_state, state).map((n) => shortName(n, 'BACKEND_F_'));
  return names.filter((n) => n !== 'alive').join(' ') || 'idle';
}

function flagsText(table: Record<string, number>, flags: number, prefix: string): string {
  return flagNames(table, flags)
    .map((n) => shortName(n, prefix))
    .join(',');
}

export function frontendText(value: LbFrontend): string {
  const run = (word: bigint) => {
    const { base, count } = runOf(word);
    return count === 0 ? 'none' : `${base}+${count}`;
  };
  const parts = [
    `service ${value.service_id}`,
    shortName(enumName(abi.lb_frontend_type, value.type), 'FRONTEND_'),
    `internal ${run(value.internal)}`,
    `external ${run(value.external)}`,
    `flags ${flagsText(abi.lb_frontend_flags, value.flags, 'FRONTEND_F_') || 'none'}`,
  ];
  if (value.flags & abi.FRONTEND_F_AFFINITY) parts.push(`affinity ${value.affinity_timeout_s}s`);
  if (value.flags & abi.FRONTEND_F_SOURCE_RANGES) parts.push(`ranges ${value.range_set_id}`);
  return parts.join(' ');
}

export function backendText(value: LbBackend): string {
  const where = `${hostPort(value.addr, value.port)}/${protocolName(value.proto)}`;
  const locality = value.locality_id === 0 ? '' : ` locality ${value.locality_id}`;
  return `${where} service ${value.service_id}${locality} ${backendStateText(value.state)}`;
}

/** Ids of a run; a Maglev table is shown by how often each id appears. */
function slotsText(ids: ArrayLike<number>): string {
  const list = Array.from(ids);
  if (list.length <= 32) return list.join(' ');
  const counts = new Map<number, number>();
  for (const id of list) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([id, n]) => `${id}x${n}`)
    .join(' ');
}

/** One line; `+` new, `~` changed in place, `-` removed. */
export function opText(op: Op): string {
  switch (op.kind) {
    case 'put':
      return `${op.replaces ? '~' : '+'} ${op.map} ${putText(op)}`;
    case 'delete':
      return `- ${op.map} ${deleteText(op)}`;
    case 'zero':
      return `~ ${op.map} ${op.id} zero`;
    case 'backend':
      return `+ lb_backends ${op.id} ${backendText(op.value)}`;
    case 'backend-state':
      return `${op.state === 0 ? '-' : '~'} lb_backends ${op.id} ${backendStateText(op.state)}`;
    case 'backend-locality':
      return `~ lb_backends ${op.id} locality ${op.localityId}`;
    case 'slots':
      return `+ lb_slots ${op.base}+${op.ids.length} ${slotsText(op.ids)}`;
  }
}

function putText(op: Extract<Op, { kind: 'put' }>): string {
  switch (op.map) {
    case 'lb_frontends':
      return `${frontendKeyLabel(op.key)} ${frontendText(op.value)}`;
    case 'lb_addresses':
      return `${op.key} ${flagsText(abi.lb_address_flags, op.value.flags, 'ADDRESS_F_')} frontends ${op.value.frontends}`;
    case 'lb_src_ranges':
      return rangeText(op.key);
    case 'meta_services':
      return `${op.key} ${op.value.namespace_}/${op.value.name}:${op.value.port_name}/${protocolName(op.value.proto)}/IPv${op.value.family}`;
    case 'meta_localities':
      return `${op.key} node ${op.value.node_name || '-'} zone ${op.value.zone || '-'}`;
  }
}

function deleteText(op: Extract<Op, { kind: 'delete' }>): string {
  switch (op.map) {
    case 'lb_frontends':
      return frontendKeyLabel(op.key);
    case 'lb_src_ranges':
      return rangeText(op.key);
    default:
      return String(op.key);
  }
}

function rangeText(key: { range_set_id: number; addr: string; prefixlen: number }): string {
  const bits = key.prefixlen - 32 - (key.addr.includes(':') ? 0 : 96);
  return `${key.range_set_id} ${key.addr}/${bits}`;
}

/** All lines, sorted, so that two plans compare whole whatever order services came in. */
export function plansText(ops: readonly Op[], after: readonly Op[]): string {
  const lines = ops.map(opText);
  const late = after.map((op) => `${opText(op)} (after grace)`);
  return [...lines, ...late].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)).join('\n');
}
