import type { CtFlow, CtTuple } from '../abi/index.js';
import * as abi from '../abi/index.js';
import { PROTOCOLS } from './protocols.js';
import type { FlowState, FlowView, ServiceRef } from './views.js';

type FlowTable = FlowView['table'];

/** Flows of the three tables by their original direction, with the counters of the reply. */
export function readFlowViews(
  entries: (name: FlowTable) => Iterable<[CtTuple, CtFlow]>,
  refOf: (serviceId: number) => ServiceRef,
  nowNs: bigint,
): FlowView[] {
  const result: FlowView[] = [];
  for (const table of ['ct_flows', 'ct_half_open', 'ct_any'] as const) {
    const replies = new Map<string, CtFlow>();
    const originals: [CtTuple, CtFlow][] = [];
    for (const [tuple, flow] of entries(table)) {
      if (tuple.dir === abi.CT_ORIGINAL) originals.push([tuple, flow]);
      else if (tuple.dir === abi.CT_REPLY) replies.set(tupleText(tuple), flow);
    }
    for (const [tuple, flow] of originals) {
      result.push(
        flowView(table, tuple, flow, replies.get(tupleText(flow.peer)), refOf(flow.service_id), nowNs),
      );
    }
  }
  return result;
}

function flowView(
  table: FlowTable,
  tuple: CtTuple,
  flow: CtFlow,
  reply: CtFlow | undefined,
  ref: ServiceRef,
  nowNs: bigint,
): FlowView {
  const flags = (flow.flags | (reply?.flags ?? 0)) >>> 0;
  const lastSeen = reply && reply.last_seen_ns > flow.last_seen_ns ? reply.last_seen_ns : flow.last_seen_ns;
  return {
    ...ref,
    table,
    protocol: PROTOCOLS[tuple.proto] ?? String(tuple.proto),
    client: { ip: tuple.src, port: tuple.sport },
    frontend: { ip: tuple.dst, port: tuple.dport },
    backend: { ip: flow.peer.src, port: flow.peer.sport, id: flow.backend_id },
    source: { ip: flow.peer.dst, port: flow.peer.dport },
    state: stateOf(table, flags, (reply?.packets ?? 0n) > 0n),
    flags: abi.flagNames(abi.ct_flow_flags, flags).map((n) => abi.shortName(n, 'CT_F_')),
    ageSeconds: secondsBetween(flow.created_ns, nowNs),
    idleSeconds: secondsBetween(lastSeen, nowNs),
    packets: Number(flow.packets),
    bytes: Number(flow.bytes),
    replyPackets: Number(reply?.packets ?? 0n),
    replyBytes: Number(reply?.bytes ?? 0n),
  };
}

function stateOf(table: FlowTable, flags: number, hasReplies: boolean): FlowState {
  if (table === 'ct_half_open') return 'half-open';
  if (table === 'ct_any') return hasReplies || flags & abi.CT_F_SEEN_REPLY ? 'active' : 'unreplied';
  if (flags & abi.CT_F_RST) return 'reset';
  if (flags & abi.CT_F_DIRECT && !hasReplies) return 'half-open';
  const fins = flags & (abi.CT_F_FIN_ORIGINAL | abi.CT_F_FIN_REPLY);
  if (fins === (abi.CT_F_FIN_ORIGINAL | abi.CT_F_FIN_REPLY)) return 'closing';
  return fins ? 'half-closed' : 'established';
}

function tupleText(t: CtTuple): string {
  return `${t.src}|${t.sport}|${t.dst}|${t.dport}|${t.proto}|${t.dir}`;
}

/** Nanoseconds apart -> seconds with three digits; never negative. */
export function secondsBetween(fromNs: bigint, toNs: bigint): number {
  return toNs <= fromNs ? 0 : Number((toNs - fromNs) / 1_000_000n) / 1000;
}
