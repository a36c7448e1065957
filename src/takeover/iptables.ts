/** iptables in both of its forms: reading whole rule sets, writing one transaction. */
import { TakeoverError } from './errors.js';
import type { Machine } from './machine.js';
import type { Backend, Family, RuleSet } from './rules.js';
import { parseSave } from './save.js';

/** A rule set of 10,000 services takes a while, and kube-proxy of another node image may hold the lock. */
const LOCK_SECONDS = '30';

function program(family: Family, backend: Backend, what: 'save' | 'restore'): string {
  return `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}-${what}`;
}

export interface ReadRules {
  sets: RuleSet[];
  /** What could not be looked at, as sentences. */
  blind: string[];
}

export async function readIptables(machine: Machine): Promise<ReadRules> {
  const sets: RuleSet[] = [];
  const blind: string[] = [];
  for (const backend of ['nft', 'legacy'] as const) {
    for (const family of [4, 6] as const) {
      const set = await readOne(machine, family, backend);
      if (typeof set === 'string') blind.push(set);
      else if (set) sets.push(set);
    }
  }
  return { sets, blind };
}

/** @returns undefined when there are certainly no such rules; a sentence when nobody can tell. */
export async function readOne(
  machine: Machine,
  family: Family,
  backend: Backend,
): Promise<RuleSet | string | undefined> {
  const name = program(family, backend, 'save');
  if (backend === 'legacy' && !hasLegacyTables(machine, family)) return undefined;
  const output = await machine.run([name]);
  if (!output) {
    if (backend === 'nft' && (await hasNoNftChains(machine))) return undefined;
    return `look at the rules: there is no ${name} here (ENOENT). install iptables, its ${backend} variant`;
  }
  if (output.code !== 0) {
    throw new TakeoverError(
      'EIO',
      `read rules: ${name} says '${output.stderr.trim().slice(0, 500)}' (exit code ${output.code}). run it as root`,
    );
  }
  return { family, backend, tables: parseSave(output.stdout) };
}

/** The kernel lists the legacy tables that are in use in this namespace; asking does not make any. */
function hasLegacyTables(machine: Machine, family: Family): boolean {
  const names = machine.read(`/proc/net/ip${family === 4 ? '' : '6'}_tables_names`);
  return names !== undefined && names.trim() !== '';
}

async function hasNoNftChains(machine: Machine): Promise<boolean> {
  const output = await machine.run(['nft', 'list', 'chains']);
  return output?.code === 0 && !output.stdout.includes('chain KUBE-');
}

/** One run of iptables-restore --noflush. @throws TakeoverError; then nothing of it was done in the failed table. */
export async function applyIptables(machine: Machine, set: RuleSet, script: string): Promise<void> {
  if (script === '') return;
  const name = program(set.family, set.backend, 'restore');
  const output = await machine.run([name, '--noflush', '-w', LOCK_SECONDS], script);
  if (!output) {
    throw new TakeoverError('ENOENT', `change rules: there is no ${name} here (ENOENT). install iptables`);
  }
  if (output.code === 0) return;
  const number = Number(/line:? (\d+)/.exec(output.stderr)?.[1] ?? 0);
  const line = number > 0 ? ` At: ${script.split('\n')[number - 1]}` : '';
  throw new TakeoverError(
    'EIO',
    `change rules: ${name} says '${output.stderr.trim().slice(0, 500)}' (exit code ${output.code}).${line} nothing of that table was changed; run 'shunt takeover --check' to see what is left`,
  );
}
