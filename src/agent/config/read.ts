import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { z } from 'zod';
import { OptionsError } from '../options.js';
import { DEFAULT_CONFIGURATION, type KubeProxyConfiguration, kubeProxyConfiguration } from './schema.js';
import { get, isTree, leaves, type Tree, withoutNulls } from './tree.js';

/** A mistake, and where it is. */
export interface Mistake {
  /** conntrack.maxPerCore, nodePortAddresses[1] */
  path: string;
  /** What is wrong and what to do about it, without the path. */
  message: string;
}

/** @throws OptionsError that names every mistake with its path. */
export function readConfiguration(file: string): KubeProxyConfiguration {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    const cause = code === 'ENOENT' ? 'no such file' : 'not readable';
    throw new OptionsError('--config', `read config ${file}: ${cause} (${code}). name a file with --config`);
  }
  return parseConfiguration(text, file);
}

/** @throws OptionsError that names every mistake with its path. */
export function parseConfiguration(text: string, file: string): KubeProxyConfiguration {
  const documents = parseAllDocuments(text);
  const syntax = documents.flatMap(({ errors }) => errors)[0];
  if (syntax) {
    const [first] = syntax.linePos ?? [];
    const where = first ? `line ${first.line}, column ${first.col}` : 'somewhere';
    const cause = (syntax.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '');
    throw broken(file, [{ path: where, message: `${cause}; correct the YAML` }]);
  }
  const trees = documents.map((document) => withoutNulls(document.toJS())).filter(isTree);
  const tree = trees.find(({ kind }) => kind === 'KubeProxyConfiguration') ?? trees[0];
  if (!tree) {
    throw broken(file, [{ path: 'document', message: 'there is none; write a KubeProxyConfiguration' }]);
  }
  const result = kubeProxyConfiguration.safeParse(tree);
  if (!result.success) throw broken(file, mistakesOf(result.error, tree));
  return result.data;
}

export function broken(file: string, mistakes: readonly Mistake[]): OptionsError {
  const lines = mistakes.map(({ path, message }) => `${path}: ${message}`);
  const text =
    lines.length === 1
      ? `read config ${file}: ${lines[0]} (EINVAL)`
      : `read config ${file}: ${lines.length} mistakes (EINVAL)\n  ${lines.join('\n  ')}`;
  return new OptionsError('--config', text);
}

/** In the order of the file's fields as far as they are known, unknown ones last. */
export function mistakesOf(error: z.ZodError, tree: Tree): Mistake[] {
  const mistakes = error.issues.flatMap((issue): Mistake[] => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ path: pathText([...path, key]), message: unknownField(key) }));
    }
    const value = valueAt(tree, issue.path);
    const isSection = issue.code === 'invalid_type' && issue.expected === 'object';
    const cause = isSection ? 'is no section; write its fields below it, or take it out' : issue.message;
    const message =
      value === undefined ? `is missing; write ${example(path[0] ?? '')}` : `${shown(value)} ${cause}`;
    return [{ path: pathText(path), message }];
  });
  return mistakes;
}

function pathText(path: readonly string[]): string {
  return path.reduce((text, part) => {
    if (/^\d+$/.test(part)) return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

function valueAt(tree: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined,
    tree,
  );
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function example(field: string): string {
  return `${field}: ${String(get(DEFAULT_CONFIGURATION, field))}`;
}

function unknownField(key: string): string {
  const known = new Set(leaves(DEFAULT_CONFIGURATION).flatMap(([path]) => path.split('.')));
  known.add('replaceKubeProxy').add('oomScoreAdj');
  const close = [...known].map((name) => [distance(key.toLowerCase(), name.toLowerCase()), name] as const);
  const [best] = close.sort(([a], [b]) => a - b);
  const hint = best && best[0] <= 3 ? `; did you mean ${best[1]}?` : '; take it out';
  return `is no field of a KubeProxyConfiguration here${hint}`;
}

/** Insertions, deletions and changes of one character that lead from one word to the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
