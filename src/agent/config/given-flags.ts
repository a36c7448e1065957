import { OptionsError, parseList } from '../options.js';
import { type FlagKind, KUBE_PROXY_FLAGS, type KubeProxyFlag } from './flags.js';
import { mistakesOf } from './read.js';
import { DEFAULT_CONFIGURATION, kubeProxyConfiguration } from './schema.js';
import { put, type Tree } from './tree.js';

/** Flags as typed, by name; `true` for one without a value. */
export type GivenFlags = ReadonlyMap<string, string | true>;

const { apiVersion, kind } = DEFAULT_CONFIGURATION;

/** The fields that the flags set. @throws OptionsError for the first flag that is wrong. */
export function configurationOfFlags(given: GivenFlags): Tree {
  const tree: Tree = {};
  const typed = new Map<string, { flag: KubeProxyFlag; text: string }>();
  for (const flag of KUBE_PROXY_FLAGS) {
    const text = given.get(flag.name);
    if (text === undefined) continue;
    const value = parseValue(flag, text);
    for (const path of flag.paths) {
      put(tree, path, value);
      typed.set(path, { flag, text: String(text) });
    }
  }
  const result = kubeProxyConfiguration.safeParse({ apiVersion, kind, ...tree });
  if (result.success) return tree;
  for (const { path, message } of mistakesOf(result.error, tree)) {
    const field = path.replace(/\[\d+\]$/, '');
    const found = typed.get(field) ?? [...typed].find(([known]) => field.startsWith(`${known}.`))?.[1];
    if (!found) continue;
    const cause = message.replace(/^("(?:[^"\\]|\\.)*"|[^ ]+) /, '').replace('; ', '. ');
    const { name } = found.flag;
    throw new OptionsError(`--${name}`, `use --${name} '${found.text}': ${cause}`);
  }
  throw result.error;
}

/** The value of a flag that no field has. @throws OptionsError. */
export function boolFlag(given: GivenFlags, name: string): boolean | undefined {
  const text = given.get(name);
  return text === undefined ? undefined : (parseText(name, 'bool', text) as boolean);
}

function parseValue({ name, kind: type }: KubeProxyFlag, text: string | true): unknown {
  return parseText(name, type, text);
}

function parseText(name: string, type: FlagKind, given: string | true): unknown {
  const text = given === true ? 'true' : given;
  const wrong = (what: string) => new OptionsError(`--${name}`, `use --${name} '${text}': ${what}`);
  switch (type) {
    case 'bool':
      // What Go's strconv takes.
      if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
      if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
      throw wrong('neither true nor false');
    case 'int':
      if (!/^[+-]?\d+$/.test(text)) throw wrong('not a whole number');
      return Number(text);
    case 'float':
      if (text.trim() === '' || Number.isNaN(Number(text))) throw wrong('not a number');
      return Number(text);
    case 'list':
      return parseList(text);
    case 'gates':
      return parseGates(text, wrong);
    case 'duration':
    case 'string':
      return text;
  }
}

function parseGates(text: string, wrong: (what: string) => OptionsError): Record<string, boolean> {
  const gates: Record<string, boolean> = {};
  for (const pair of parseList(text)) {
    const [, name, value] = /^([A-Za-z0-9]+)=(true|false)$/i.exec(pair) ?? [];
    if (name === undefined || value === undefined) throw wrong('write it like A=true,B=false');
    gates[name] = value.toLowerCase() === 'true';
  }
  return gates;
}
