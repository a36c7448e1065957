/** Which part of an iptables rule set is kube-proxy's, and the one transaction that removes it. */
import { isKubeProxyChain } from './names.js';
import { isBuiltIn, type SavedChain, type SavedRule, type SavedTable, splitSpec } from './save.js';

export type Family = 4 | 6;
export type Backend = 'legacy' | 'nft';

export interface RuleSet {
  family: Family;
  backend: Backend;
  tables: SavedTable[];
}

export interface KeptChain {
  table: string;
  chain: string;
  /** Chain of somebody else that still leads there, or the own chain that does. */
  usedBy: string;
}

export interface OwnTable {
  table: string;
  /** Chains to remove, in the order of the rule set. */
  chains: string[];
  /** Rules of built-in chains that lead to one of kube-proxy's. */
  jumps: SavedRule[];
  /** Rules in `chains`. */
  rules: number;
}

export interface OwnRules {
  tables: OwnTable[];
  kept: KeptChain[];
}

/** kube-proxy enters its chains from built-in ones only here; a jump elsewhere is somebody else's rule. */
const ENTRIES = new Set([
  'KUBE-SERVICES',
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-NODEPORTS',
  'KUBE-POSTROUTING',
  'KUBE-FORWARD',
  'KUBE-PROXY-FIREWALL',
  'KUBE-NODE-PORT',
  'KUBE-LOAD-BALANCER',
  'KUBE-SOURCE-RANGES-FIREWALL',
  'KUBE-IPVS-FILTER',
  'KUBE-IPVS-OUT-FILTER',
]);

export function findOwn(tables: readonly SavedTable[]): OwnRules {
  const found: OwnRules = { tables: [], kept: [] };
  for (const table of tables) {
    const own = [...table.chains.values()].filter((chain) => isKubeProxyChain(table.name, chain.name));
    if (own.length === 0) continue;
    const kept = keptChains(table, new Set(own.map((chain) => chain.name)));
    found.kept.push(...kept.values());
    const removed = own.filter((chain) => !kept.has(chain.name));
    found.tables.push({
      table: table.name,
      chains: removed.map((chain) => chain.name),
      jumps: jumpsOf(table, kept),
      rules: removed.reduce((sum, chain) => sum + chain.rules.length, 0),
    });
  }
  return found;
}

/** A chain that a stranger uses stays, with all that it needs itself. */
function keptChains(table: SavedTable, own: ReadonlySet<string>): Map<string, KeptChain> {
  const kept = new Map<string, KeptChain>();
  const keep = (name: string, usedBy: string) => {
    const chain = table.chains.get(name);
    if (!chain || !own.has(name) || kept.has(name)) return;
    kept.set(name, { table: table.name, chain: name, usedBy });
    for (const rule of chain.rules) keep(rule.target, name);
    // The mark is worth nothing without the rule that masquerades what carries it.
    if (name === 'KUBE-MARK-MASQ') keep('KUBE-POSTROUTING', name);
  };
  for (const chain of table.chains.values()) {
    if (own.has(chain.name)) continue;
    for (const rule of chain.rules) {
      if (own.has(rule.target) && !(isBuiltIn(chain) && ENTRIES.has(rule.target)))
        keep(rule.target, chain.name);
    }
  }
  return kept;
}

function jumpsOf(table: SavedTable, kept: ReadonlyMap<string, KeptChain>): SavedRule[] {
  const masquerades = kept.has('KUBE-MARK-MASQ');
  const isOwnJump = (chain: SavedChain, rule: SavedRule) =>
    isBuiltIn(chain) &&
    ENTRIES.has(rule.target) &&
    isKubeProxyChain(table.name, rule.target) &&
    !(masquerades && rule.target === 'KUBE-POSTROUTING');
  return [...table.chains.values()].flatMap((chain) => chain.rules.filter((rule) => isOwnJump(chain, rule)));
}

export function countChains(own: OwnRules): number {
  return own.tables.reduce((sum, { chains }) => sum + chains.length, 0);
}

export function countRules(own: OwnRules): number {
  return own.tables.reduce((sum, { rules, jumps }) => sum + rules + jumps.length, 0);
}

export function isEmpty(own: OwnRules): boolean {
  return own.tables.every(({ chains, jumps }) => chains.length === 0 && jumps.length === 0);
}

/** Lines for one table by its name; chains that they make first. */
export type ExtraLines = Readonly<Record<string, readonly string[]>>;

/** Input of `iptables-restore --noflush`: jumps and chains, every table in one transaction. */
export function removalScript(own: OwnRules, extra: ExtraLines = {}): string {
  return restoreScript(own, extra, true);
}

/** The same without the chains: nothing leads into them any more. */
export function unhookScript(own: OwnRules, extra: ExtraLines = {}): string {
  return restoreScript(own, extra, false);
}

function restoreScript(own: OwnRules, extra: ExtraLines, withChains: boolean): string {
  const lines: string[] = [];
  const names = new Set([...own.tables.map(({ table }) => table), ...Object.keys(extra)]);
  for (const name of names) {
    const found = own.tables.find(({ table }) => table === name);
    const chains = withChains ? (found?.chains ?? []) : [];
    const jumps = found?.jumps ?? [];
    const more = extra[name] ?? [];
    if (chains.length + jumps.length + more.length === 0) continue;
    const isChain = (line: string) => line.startsWith(':');
    lines.push(
      `*${name}`,
      // A chain that is named so is made, or emptied where it is: only then it can go.
      ...chains.map((chain) => `:${chain} - [0:0]`),
      ...more.filter(isChain),
      ...more.filter((line) => !isChain(line)),
      ...jumps.map(({ chain, spec }) => `-D ${chain} ${spec}`),
      ...chains.map((chain) => `-X ${chain}`),
      'COMMIT',
    );
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/**
 * Input of nft: the chains of all tables in one transaction. iptables-nft-restore takes a time that grows with
 * the square of their number, 95 s for the 40,000 of 10,000 Services; nft takes one.
 */
export function dropChainsScript(own: OwnRules, family: Family): string {
  const ip = family === 4 ? 'ip' : 'ip6';
  const chains = own.tables.flatMap(({ table, chains }) => chains.map((chain) => `${ip} ${table} ${chain}`));
  return [
    ...chains.map((chain) => `flush chain ${chain}\n`),
    ...chains.map((chain) => `delete chain ${chain}\n`),
  ].join('');
}

/** The rule set without what is kube-proxy's, as lines: the same before and after. */
export function foreignLines(tables: readonly SavedTable[], isOurs: (name: string) => boolean): string[] {
  const own = findOwn(tables);
  const lines: string[] = [];
  for (const table of tables) {
    const mine = own.tables.find(({ table: name }) => name === table.name);
    const removed = new Set(mine?.chains);
    const jumps = new Set(mine?.jumps);
    for (const chain of table.chains.values()) {
      if (removed.has(chain.name) || isOurs(chain.name)) continue;
      lines.push(`${table.name} :${chain.name} ${chain.policy}`);
      for (const rule of chain.rules) {
        if (!jumps.has(rule) && !isOurs(rule.target))
          lines.push(`${table.name} -A ${chain.name} ${rule.spec}`);
      }
    }
  }
  return lines;
}

/** One Service port that kube-proxy serves. */
export interface ServedPort {
  /** '*' for a NodePort. */
  ip: string;
  port: number;
  protocol: string;
  /** namespace/name, where it is known. */
  service?: string;
}

const SERVICE_CHAIN = /^KUBE-(?:SVC|EXT|FW|XLB|SVL)-/;

export interface FamilyPort extends ServedPort {
  family: Family;
}

/** Service ports with endpoints, and the endpoints' addresses. */
export function servedBy(tables: readonly SavedTable[]): { ports: ServedPort[]; endpoints: string[] } {
  const nat = tables.find((table) => table.name === 'nat');
  const ports: ServedPort[] = [];
  const endpoints = new Set<string>();
  for (const name of ['KUBE-SERVICES', 'KUBE-NODEPORTS']) {
    for (const rule of nat?.chains.get(name)?.rules ?? []) {
      if (!SERVICE_CHAIN.test(rule.target)) continue;
      const port = portOf(rule, name === 'KUBE-NODEPORTS');
      if (port) ports.push(port);
    }
  }
  for (const chain of nat?.chains.values() ?? []) {
    if (!chain.name.startsWith('KUBE-SEP-')) continue;
    for (const rule of chain.rules) {
      const to = /--to-destination (\S+)/.exec(rule.spec)?.[1];
      if (to) endpoints.add(to.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'));
    }
  }
  return { ports, endpoints: [...endpoints] };
}

function portOf(rule: SavedRule, isNodePort: boolean): ServedPort | undefined {
  const words = splitSpec(rule.spec);
  const after = (flag: string) => words[words.indexOf(flag) + 1];
  const has = (flag: string) => words.includes(flag);
  if (!has('-p') || !has('--dport') || (!isNodePort && !has('-d'))) return undefined;
  // "namespace/name:port cluster IP", without the last word for a NodePort.
  const service = has('--comment') ? /^[^\s/]+\/[^\s/:]+/.exec(after('--comment') as string)?.[0] : undefined;
  return {
    ...(service !== undefined && { service }),
    ip: isNodePort ? '*' : (after('-d') as string).replace(/\/\d+$/, ''),
    port: Number(after('--dport')),
    protocol: (after('-p') as string).toUpperCase(),
  };
}
