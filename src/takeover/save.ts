/** What `iptables-save` prints, taken apart as far as ownership and order go. */

export interface SavedRule {
  chain: string;
  /** All that follows `-A <chain> `, as printed. */
  spec: string;
  /** After -j or -g; '' without one. */
  target: string;
}

export interface SavedChain {
  name: string;
  /** ACCEPT or DROP of a built-in chain, '-' of one that somebody made. */
  policy: string;
  /** In order. */
  rules: SavedRule[];
}

export interface SavedTable {
  name: string;
  chains: Map<string, SavedChain>;
}

const TARGET = /(?:^| )(?:-j|-g) (\S+)/;
const QUOTED = /"(?:[^"\\]|\\.)*"/g;

/**
 * Comments, counters and everything outside of a table are left out.
 * @throws Error naming the line that is none of iptables-save's.
 */
export function parseSave(text: string): SavedTable[] {
  const tables: SavedTable[] = [];
  let table: SavedTable | undefined;
  let number = 0;
  for (const line of text.split('\n')) {
    number++;
    const first = line.charCodeAt(0);
    if (line === '' || first === 35 /* # */) continue;
    if (first === 42 /* * */) {
      table = { name: line.slice(1).trim(), chains: new Map() };
      tables.push(table);
    } else if (line === 'COMMIT') {
      table = undefined;
    } else if (table && first === 58 /* : */) {
      const [name = '', policy = '-'] = line.slice(1).split(' ');
      table.chains.set(name, { name, policy, rules: [] });
    } else if (table && line.includes('-A ')) {
      addRule(table, line, number);
    } else {
      throw new Error(`read iptables-save: line ${number} is not known: ${line.slice(0, 120)} (EINVAL)`);
    }
  }
  return tables;
}

function addRule(table: SavedTable, line: string, number: number): void {
  // With -c every rule begins with its counters.
  const begin = line.startsWith('[') ? line.indexOf('] ') + 2 : 0;
  const space = line.indexOf(' ', begin + 3);
  const name = space < 0 ? line.slice(begin + 3) : line.slice(begin + 3, space);
  const chain = table.chains.get(name);
  if (!chain)
    throw new Error(`read iptables-save: line ${number} names chain ${name}, which is not there (ENOENT)`);
  const spec = space < 0 ? '' : line.slice(space + 1);
  chain.rules.push({ chain: name, spec, target: targetOf(spec) });
}

/** A comment may contain anything, "-j" too. */
export function targetOf(spec: string): string {
  const plain = spec.includes('"') ? spec.replace(QUOTED, '""') : spec;
  return TARGET.exec(plain)?.[1] ?? '';
}

/** Arguments of a rule as a shell would give them to iptables. */
export function splitSpec(spec: string): string[] {
  const words: string[] = [];
  for (const match of spec.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)) {
    words.push(match[1] === undefined ? (match[2] as string) : match[1].replace(/\\(.)/g, '$1'));
  }
  return words;
}

export function isBuiltIn(chain: SavedChain): boolean {
  return chain.policy !== '-';
}
