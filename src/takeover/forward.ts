/** Would forwarded Service traffic still pass without kube-proxy's rules? */
import { matches, type Packet } from './matching.js';
import { FORWARD_CHAIN, FORWARD_COMMENT, isKubeProxyChain } from './names.js';
import type { RuleSet } from './rules.js';
import type { SavedRule, SavedTable } from './save.js';

type Outcome = 'ACCEPT' | 'DROP' | 'RETURN';

/** Targets that do not end the way through the rules. */
const PASSING = new Set([
  '',
  'LOG',
  'NFLOG',
  'ULOG',
  'MARK',
  'CONNMARK',
  'TCPMSS',
  'CT',
  'DSCP',
  'TRACE',
  'SET',
]);

/** Every verdict that the rules may give: more than one where a rule could not be judged. */
export function verdicts(
  table: SavedTable,
  chain: string,
  packet: Packet,
  skip: (chain: string) => boolean = () => false,
): Set<'ACCEPT' | 'DROP'> {
  const policy = table.chains.get(chain)?.policy === 'DROP' ? 'DROP' : 'ACCEPT';
  const outcomes = walk(table, chain, packet, skip, 0);
  const result = new Set<'ACCEPT' | 'DROP'>();
  for (const outcome of outcomes) result.add(outcome === 'RETURN' ? policy : outcome);
  return result;
}

function walk(
  table: SavedTable,
  name: string,
  packet: Packet,
  skip: (chain: string) => boolean,
  depth: number,
): Set<Outcome> {
  const outcomes = new Set<Outcome>();
  // The kernel refuses loops; a rule set that was read while it changed may still show one.
  if (depth > 64) return outcomes.add('RETURN');
  for (const rule of table.chains.get(name)?.rules ?? []) {
    if (skip(rule.target) || PASSING.has(rule.target)) continue;
    const match = matches(rule.spec, packet);
    if (match === 'no') continue;
    let goesOn = false;
    for (const outcome of rule.target === 'RETURN'
      ? (['RETURN'] as const)
      : leadsTo(table, rule, packet, skip, depth)) {
      const isGoto = / -g \S/.test(` ${rule.spec}`);
      if (outcome === 'RETURN' && rule.target !== 'RETURN' && !isGoto) goesOn = true;
      else outcomes.add(outcome);
    }
    if (match === 'yes' && !goesOn) return outcomes;
  }
  return outcomes.add('RETURN');
}

function leadsTo(
  table: SavedTable,
  { target }: SavedRule,
  packet: Packet,
  skip: (chain: string) => boolean,
  depth: number,
): Iterable<Outcome> {
  if (target === 'ACCEPT' || target === 'DROP') return [target];
  if (target === 'REJECT') return ['DROP'];
  if (table.chains.has(target)) return walk(table, target, packet, skip, depth + 1);
  return ['ACCEPT', 'DROP', 'RETURN'];
}

/** One kind of traffic to judge. */
export interface Sample {
  chain: 'FORWARD' | 'INPUT';
  what: string;
  packet: Packet;
  /** What kube-proxy's own rules added to it. */
  before: Partial<Packet>;
}

export interface ForwardFinding {
  family: 4 | 6;
  backend: 'legacy' | 'nft';
  chain: 'FORWARD' | 'INPUT';
  what: string;
  /** cut: it passes now, and will not; unsure: a rule between cannot be judged. */
  result: 'cut' | 'unsure';
  /** Only connections that begin. */
  isNew: boolean;
}

export function simulate(set: RuleSet, samples: readonly Sample[]): ForwardFinding[] {
  const filter = set.tables.find((table) => table.name === 'filter');
  if (!filter) return [];
  const findings: ForwardFinding[] = [];
  const withoutOwn = (chain: string) => isKubeProxyChain('filter', chain);
  for (const { chain, what, packet, before } of samples) {
    const now = verdicts(filter, chain, { ...packet, ...before });
    const then = verdicts(filter, chain, packet, withoutOwn);
    const { family, backend } = set;
    const isNew = packet.states.includes('NEW');
    if (!now.has('ACCEPT') || !then.has('DROP')) continue;
    if (!then.has('ACCEPT')) findings.push({ family, backend, chain, what, result: 'cut', isNew });
    else if (!now.has('DROP')) findings.push({ family, backend, chain, what, result: 'unsure', isNew });
  }
  return findings;
}

/**
 * Lines for the filter table that make up for KUBE-FORWARD: replies always, connections that begin only from
 * and to `cidrs`. In its place, so that nothing that came before it is overruled.
 */
export function acceptLines(set: RuleSet, cidrs: readonly string[]): string[] {
  const rules = set.tables.find((table) => table.name === 'filter')?.chains.get('FORWARD')?.rules ?? [];
  if (rules.some((rule) => rule.target === FORWARD_CHAIN)) return [];
  const place = rules.findIndex((rule) => rule.target === 'KUBE-FORWARD');
  const tag = `-m comment --comment "${FORWARD_COMMENT}"`;
  return [
    `:${FORWARD_CHAIN} - [0:0]`,
    `-A ${FORWARD_CHAIN} ${tag} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    ...cidrs.flatMap((cidr) => [
      `-A ${FORWARD_CHAIN} -s ${cidr} ${tag} -j ACCEPT`,
      `-A ${FORWARD_CHAIN} -d ${cidr} ${tag} -j ACCEPT`,
    ]),
    `-I FORWARD ${place < 0 ? 1 : place + 1} ${tag} -j ${FORWARD_CHAIN}`,
  ];
}

/** Lines that take {@link acceptLines} back. */
export function withdrawLines(set: RuleSet): string[] {
  const filter = set.tables.find((table) => table.name === 'filter');
  if (!filter?.chains.has(FORWARD_CHAIN)) return [];
  const jumps = [...filter.chains.values()].flatMap((chain) =>
    chain.rules.filter((rule) => rule.target === FORWARD_CHAIN),
  );
  return [
    `:${FORWARD_CHAIN} - [0:0]`,
    ...jumps.map((rule) => `-D ${rule.chain} ${rule.spec}`),
    `-X ${FORWARD_CHAIN}`,
  ];
}
