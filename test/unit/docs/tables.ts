/** Tables of docs/ whose rows name tests, and whether those tests are there. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../../..');

export interface TableRow {
  /** The heading above: `3. Usable endpoints`. */
  heading: string;
  cells: string[];
}

/** Every row of every table below a heading of the second level; without the header rows. */
export function readTables(document: string): TableRow[] {
  const rows: TableRow[] = [];
  let heading = '';
  let previous = '';
  for (const line of readFileSync(join(ROOT, document), 'utf8').split('\n')) {
    if (line.startsWith('## ')) heading = line.slice(3).trim();
    // What stands above the rule is the header.
    if (/^\|[-| ]+\|$/.test(line)) rows.pop();
    else if (line.startsWith('|')) rows.push({ heading, cells: cellsOf(line) });
    else if (previous.startsWith('|') && line.trim() !== '')
      throw new Error(`read ${document}: a row is broken over two lines: ${line}`);
    previous = line;
  }
  return rows;
}

/** A backslash keeps a bar inside of its cell. */
function cellsOf(line: string): string[] {
  return line
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
}

export interface Evidence {
  /** Below test/. */
  file: string;
  titles: string[];
}

/** Reads `` `netns/a.test.ts` "one", "two"; `packet/b.test.ts` "three" ``; undefined when it is not written so. */
export function parseEvidence(cell: string): Evidence[] | undefined {
  const one = /`([^`]+\.test\.ts)`( "[^"]+"(?:, "[^"]+")*)(?:; |$)/y;
  const found: Evidence[] = [];
  while (one.lastIndex < cell.length) {
    const at = one.lastIndex;
    const match = one.exec(cell);
    if (!match || match.index !== at) return undefined;
    const titles = [...(match[2] as string).matchAll(/"([^"]+)"/g)].map(([, title]) => title as string);
    found.push({ file: match[1] as string, titles });
  }
  return found;
}

/** What is wrong with the tests that a cell names; nothing when all of them are there. */
export function problemsOf(evidence: Evidence[]): string[] {
  return evidence.flatMap(({ file, titles }) => {
    const path = join(ROOT, 'test', file);
    if (!existsSync(path)) return [`test/${file} does not exist`];
    const lines = codeLines(readFileSync(path, 'utf8'));
    return titles
      .filter((title) => !lines.some((line) => isTitleIn(line, title)))
      .map((title) => `test/${file} has no test "${title}"`);
  });
}

function codeLines(source: string): string[] {
  return source
    .replace(/^\s*\/\*[\s\S]*?\*\//gm, '')
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('//'));
}

/** Titles are text in quotes; those of tables have holes, and a row then names a piece between them. */
function isTitleIn(line: string, title: string): boolean {
  const at = line.indexOf(title);
  return at > 0 && /['"`]/.test(line.slice(0, at)) && /['"`]/.test(line.slice(at + title.length));
}

export function sourceOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}
