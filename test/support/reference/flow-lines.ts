// Flow entries as lines, of a connection of the reference and of the maps.
import {
  CT_F_ESTABLISHED,
  CT_F_EXTERNAL,
  CT_F_FIN_ORIGINAL,
  CT_F_FIN_REPLY,
  CT_F_HAIRPIN,
  CT_F_MIDDLE,
  CT_F_MIDDLE_USED,
  CT_F_NODE_CLIENT,
  CT_F_PAST_STACK,
  CT_F_RESTORE_INGRESS,
  CT_F_RST,
  CT_F_SEEN_REPLY,
  CT_F_VIA_XDP,
  type CtFlow,
} from '../../../src/abi/index.js';
import { PROTOCOL } from '../packet/index.js';
import type { PacketWorld } from '../packet/world.js';
import type { Conn, FlowBook } from './flows.js';
import { type Ends, mirror } from './types.js';

/** Throws with the lines that only one of the two has. */
export function compareFlows(book: FlowBook, world: PacketWorld): void {
  const wanted = [...book.all()].flatMap(lines).sort();
  const real = Object.entries(world.ct)
    .flatMap(([table, map]) => map.entries().map(([k, f]) => line(table, k, f.peer, f)))
    .sort();
  if (wanted.join('\n') === real.join('\n')) return;
  const missing = wanted.filter((l) => !real.includes(l));
  const extra = real.filter((l) => !wanted.includes(l));
  throw new Error(
    `flow entries differ\nonly in the reference:\n${missing.join('\n')}\nonly in the maps:\n${extra.join('\n')}`,
  );
}

const COMPARED =
  CT_F_ESTABLISHED |
  CT_F_EXTERNAL |
  CT_F_FIN_ORIGINAL |
  CT_F_FIN_REPLY |
  CT_F_HAIRPIN |
  CT_F_MIDDLE |
  CT_F_MIDDLE_USED |
  CT_F_NODE_CLIENT |
  CT_F_PAST_STACK |
  CT_F_RESTORE_INGRESS |
  CT_F_RST |
  CT_F_SEEN_REPLY |
  CT_F_VIA_XDP;

function line(table: string, k: Ends & { proto: number; dir: number }, p: Ends, f: Partial<CtFlow>): string {
  const ends = (e: Ends) => `${e.src} ${e.sport} > ${e.dst} ${e.dport}`;
  const flags = ((f.flags ?? 0) & COMPARED).toString(2);
  return `${table} ${k.dir} proto ${k.proto} ${ends(k)} / ${ends(p)} service ${f.service_id} backend ${f.backend_id}.${f.backend_generation} flags ${flags}`;
}

const WAYS = {
  local: 0,
  past: CT_F_PAST_STACK,
  hairpin: CT_F_HAIRPIN,
  node: CT_F_NODE_CLIENT,
  middle: CT_F_MIDDLE,
};

function lines(c: Conn): string[] {
  const table = c.proto !== PROTOCOL.tcp ? 'any' : c.established ? 'flows' : 'half_open';
  const bits: [boolean, number][] = [
    [c.established, CT_F_ESTABLISHED],
    [c.external, CT_F_EXTERNAL],
    [c.fin.original, CT_F_FIN_ORIGINAL],
    [c.fin.reply, CT_F_FIN_REPLY],
    [c.rst, CT_F_RST],
    [c.seenReply, CT_F_SEEN_REPLY],
    [c.viaXdp, CT_F_VIA_XDP],
    [c.way !== 'local', CT_F_RESTORE_INGRESS],
    [c.used, CT_F_MIDDLE_USED],
  ];
  const f = {
    service_id: c.serviceId,
    backend_id: c.backend.id,
    backend_generation: c.generation,
    flags: bits.reduce((all, [on, bit]) => (on ? all | bit : all), WAYS[c.way]),
  };
  const reply = mirror(c.leaves);
  const dir = c.role === 'front' ? 0 : 2;
  return [
    line(table, { ...c.arrives, proto: c.proto, dir }, reply, f),
    line(table, { ...reply, proto: c.proto, dir: 1 }, c.arrives, f),
  ];
}
