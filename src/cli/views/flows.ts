import {
  CT_F_ESTABLISHED,
  CT_F_FIN_ORIGINAL,
  CT_F_FIN_REPLY,
  CT_F_HAIRPIN,
  CT_F_NODE_CLIENT,
  CT_F_PAST_STACK,
  CT_F_RST,
  CT_F_SEEN_REPLY,
  CT_F_VIA_XDP,
  CT_MIDDLE,
  CT_ORIGINAL,
  type CtFlow,
  type CtTuple,
} from '../../abi/index.js';
import { protocolName } from '../output/text.js';
import type { MapsReader } from '../reader.js';
import { Catalog, type ServiceName } from './catalog.js';
import { addressKey, by, secondsBetween } from './order.js';

interface End {
  ip: string;
  port: number;
}

export interface FlowRow extends ServiceName {
  protocol: string;
  client: End;
  frontend: End;
  backend: End;
  /** What the backend sees as its peer, when that is not the client. */
  snat: End | null;
  state: 'half-open' | 'established' | 'closing' | 'unreplied' | 'active';
  /** stack: handed up translated; tc, xdp: redirected past it; hairpin: back to the pod; node: this node asked. */
  way: 'stack' | 'tc' | 'xdp' | 'hairpin' | 'node';
  ageSeconds: number;
  idleSeconds: number;
  packets: number;
  bytes: number;
  replyPackets: number;
  replyBytes: number;
}

const TABLES = ['ct_flows', 'ct_half_open', 'ct_any'] as const;

/** Every flow once, from the client's side: by protocol, client, frontend. */
export function viewFlows(reader: MapsReader, namespace?: string): FlowRow[] {
  const now = reader.nowNs();
  const catalog = new Catalog(reader);
  const originals: { key: CtTuple; flow: CtFlow; halfOpen: boolean }[] = [];
  const others = new Map<string, CtFlow>();
  const seen = new Set<string>();
  // A flow that is promoted while we read is found in ct_half_open and in ct_flows, or in the latter alone.
  for (const table of TABLES) {
    for (const [key, flow] of reader.entries(table)) {
      const id = tupleId(key);
      if (key.dir !== CT_ORIGINAL) {
        if (!others.has(id)) others.set(id, flow);
      } else if (!seen.has(id)) {
        seen.add(id);
        originals.push({ key, flow, halfOpen: table === 'ct_half_open' });
      }
    }
  }
  const rows: FlowRow[] = [];
  for (const { key, flow, halfOpen } of originals) {
    const name = catalog.nameOf(flow.service_id);
    if (namespace !== undefined && name.namespace !== namespace) continue;
    const backend = { ip: flow.peer.src, port: flow.peer.sport };
    const reply = others.get(tupleId(flow.peer));
    const lastReply = reply?.last_seen_ns ?? 0n;
    rows.push({
      ...name,
      protocol: protocolName(key.proto),
      client: { ip: key.src, port: key.sport },
      frontend: { ip: key.dst, port: key.dport },
      backend,
      snat: snatOf(key, flow, backend, others),
      state: halfOpen ? 'half-open' : stateOf(flow, key.proto, reply),
      way: wayOf(flow.flags),
      ageSeconds: secondsBetween(flow.created_ns, now),
      idleSeconds: secondsBetween(lastReply > flow.last_seen_ns ? lastReply : flow.last_seen_ns, now),
      packets: Number(flow.packets),
      bytes: Number(flow.bytes),
      replyPackets: Number(reply?.packets ?? 0n),
      replyBytes: Number(reply?.bytes ?? 0n),
    });
  }
  return rows.sort(
    by(
      (r) => r.protocol,
      (r) => addressKey(r.client.ip),
      (r) => r.client.port,
      (r) => addressKey(r.frontend.ip),
      (r) => r.frontend.port,
    ),
  );
}

function tupleId(t: CtTuple): string {
  return `${t.dir} ${t.proto} ${t.src} ${t.sport} ${t.dst} ${t.dport}`;
}

/** The reply tuple tells it; a flow through the stack gets its source changed by a second pair, at egress. */
function snatOf(key: CtTuple, flow: CtFlow, backend: End, others: Map<string, CtFlow>): End | null {
  const middle = others.get(tupleId({ ...key, dst: backend.ip, dport: backend.port, dir: CT_MIDDLE }));
  const seen = (middle ?? flow).peer;
  if (seen.dst === key.src && seen.dport === key.sport) return null;
  return { ip: seen.dst, port: seen.dport };
}

function stateOf(flow: CtFlow, proto: number, reply: CtFlow | undefined): FlowRow['state'] {
  const flags = flow.flags | (reply?.flags ?? 0);
  if (flags & (CT_F_RST | CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY)) return 'closing';
  if (flags & CT_F_ESTABLISHED) return 'established';
  if (flags & CT_F_SEEN_REPLY || (reply?.packets ?? 0n) > 0n) return proto === 6 ? 'established' : 'active';
  return 'unreplied';
}

function wayOf(flags: number): FlowRow['way'] {
  if (flags & CT_F_HAIRPIN) return 'hairpin';
  if (flags & CT_F_PAST_STACK) return flags & CT_F_VIA_XDP ? 'xdp' : 'tc';
  if (flags & CT_F_NODE_CLIENT) return 'node';
  return 'stack';
}
