import type { ClientReport } from '../../box/index.js';
import type { Scope, ServiceRow } from '../../src/cli/views/rows.js';

/** One client that goes to one frontend a number of times. */
export interface Visit {
  row: ServiceRow;
  /** For people: 'pod on node1', 'outside'. */
  client: string;
  /** Where the box runs it. */
  from: string;
  /** What the backend sees when the source is kept. */
  sourceIp: string;
  /** The client's address for a frontend that is '*': a node's. */
  ip: string;
  /** Node whose maps decide. */
  node: string;
  scope: Scope;
}

export interface Verdict {
  good: boolean;
  /** What happened, in words. */
  text: string;
}

/** Names of backends by "ip:port". */
export type Names = ReadonlyMap<string, string>;

/** Servers that may answer this visit; without any, new connections are dropped or refused. */
export function expectedServers(visit: Visit, names: Names): string[] {
  return visit.row.backends
    .filter((backend) => backend.usedFor.includes(visit.scope))
    .map((backend) => names.get(backend.ip) ?? backend.ip);
}

/**
 * Compares what the client met with what the node's maps promise: every attempt answered by a usable backend, all of
 * them taking part (with affinity exactly one), the source kept where it must be; or nothing at all.
 */
export function judge(visit: Visit, report: ClientReport, count: number, names: Names): Verdict {
  const expected = expectedServers(visit, names);
  if (expected.length === 0) return judgeSilence(report);
  const answered = Object.entries(report.byServer).sort(([a], [b]) => (a < b ? -1 : 1));
  const strangers = answered.filter(([name]) => !expected.includes(name));
  const sticky = visit.row.affinity.mode === 'ClientIP';
  const spreadGood = sticky ? answered.length === 1 : answered.length === expected.length;
  const sources = describeSources(visit, report);
  const good = report.ok === count && strangers.length === 0 && spreadGood && sources.good;
  const spread = answered.map(([name, times]) => `${name} ${times}`).join(', ');
  const failed = report.ok === count ? '' : ` (${Object.keys(report.errors).join(', ')})`;
  return {
    good,
    text: `${report.ok} of ${count}${failed}: ${spread}${sticky ? ' (affinity)' : ''}; ${sources.text}`,
  };
}

function judgeSilence(report: ClientReport): Verdict {
  const causes = Object.keys(report.errors);
  if (report.ok > 0) return { good: false, text: `${report.ok} answered, but no backend is usable here` };
  if (causes.includes('ECONNREFUSED')) return { good: true, text: 'refused: no backend is usable' };
  return { good: causes.includes('ETIMEDOUT'), text: `dropped: policy Local and no backend on this node` };
}

/** A source must be kept inside the cluster, and outside by policy Local. */
function describeSources(visit: Visit, report: ClientReport): Verdict {
  const kept = report.peers[visit.sourceIp] ?? 0;
  const others = Object.entries(report.peers).filter(([ip]) => ip !== visit.sourceIp);
  const mustKeep = visit.scope === 'internal' || visit.row.externalTrafficPolicy === 'Local';
  if (others.length === 0) return { good: kept > 0, text: 'source kept' };
  const text = others.map(([ip, times]) => `${ip} ${times}`).join(', ');
  return { good: !mustKeep, text: kept > 0 ? `source kept ${kept}, else ${text}` : `source ${text}` };
}
