/** Everything that is looked at before anything is done. Changes nothing. */
import { countOldFlows, type OldFlows } from './conntrack.js';
import { type ForwardFinding, simulate } from './forward.js';
import { readIptables } from './iptables.js';
import { type IpvsState, readIpvs } from './ipvs.js';
import type { Machine } from './machine.js';
import { FORWARD_CHAIN } from './names.js';
import { type NftState, readNft } from './nftables.js';
import { type Answering, whoAnswers } from './probe.js';
import {
  type Backend,
  countChains,
  countRules,
  type Family,
  type FamilyPort,
  findOwn,
  isEmpty,
  type OwnRules,
  type RuleSet,
  servedBy,
} from './rules.js';
import { forwardSamples, healthCheckSamples, Routes } from './samples.js';
import type { ShuntControl, ShuntState } from './shunt.js';

/** One iptables rule set in which something is kube-proxy's. */
export interface OwnSet {
  set: RuleSet;
  own: OwnRules;
}

export interface Survey {
  answering: Answering[];
  /** Every rule set that there is. */
  sets: RuleSet[];
  own: OwnSet[];
  nft: NftState;
  /** There is an nft program. */
  hasNft: boolean;
  ipvs: IpvsState;
  /** IPVS connections; they need their virtual servers. */
  ipvsConnections: number;
  ports: FamilyPort[];
  /** What kube-proxy serves and Shunt does not. */
  missing: FamilyPort[];
  forward: ForwardFinding[];
  shunt: ShuntState | undefined;
  /** undefined: nobody can tell. */
  oldFlows: OldFlows | undefined;
  blind: string[];
  /** Rule sets in which Shunt's own accept rule is. */
  accepting: RuleSet[];
}

export async function survey(machine: Machine, control: ShuntControl): Promise<Survey> {
  const [answering, iptables, nft, ipvs, shunt, links, routes] = await Promise.all([
    whoAnswers(machine),
    readIptables(machine),
    readNft(machine),
    readIpvs(machine),
    control.look(),
    machine.links(),
    machine.routes(),
  ]);
  const blind = [...iptables.blind];
  if (!nft && iptables.blind.length > 0)
    blind.push('look for nftables tables: there is no nft here (ENOENT). install nftables');
  const own = iptables.sets.map((set) => ({ set, own: findOwn(set.tables) })).filter((o) => !isEmpty(o.own));
  const served = own.map(({ set }) => ({ family: set.family, ...servedBy(set.tables) }));
  const ports: FamilyPort[] = [
    ...served.flatMap((s) => s.ports.map((port) => ({ ...port, family: s.family }))),
    ...(nft?.ports ?? []),
  ];
  const way = new Routes(routes, links);
  const endpoints = [...served.flatMap((s) => s.endpoints), ...(shunt?.endpoints ?? [])];
  return {
    answering,
    sets: iptables.sets,
    own,
    hasNft: nft !== undefined,
    nft: nft ?? { families: [], ports: [], keeping: [] },
    ipvs,
    ipvsConnections: countIpvsConnections(machine),
    ports,
    missing: shunt ? ports.filter((port) => !shunt.serves(port)) : [],
    forward: own.flatMap(({ set }) => judge(set, endpoints, way)),
    shunt,
    oldFlows: shunt && (await countOldFlows(machine, (flow) => shunt.isService(flow))),
    blind,
    accepting: iptables.sets.filter((set) =>
      set.tables.some((table) => table.name === 'filter' && table.chains.has(FORWARD_CHAIN)),
    ),
  };
}

function judge(set: RuleSet, endpoints: readonly string[], way: Routes): ForwardFinding[] {
  const filter = set.tables.find((table) => table.name === 'filter');
  const checks = (filter?.chains.get('KUBE-NODEPORTS')?.rules ?? [])
    .filter((rule) => rule.target === 'ACCEPT')
    .map((rule) => Number(/--dport (\d+)/.exec(rule.spec)?.[1]))
    .filter((port) => port > 0);
  return simulate(set, [
    ...forwardSamples(set.family, endpoints, way),
    ...healthCheckSamples(set.family, checks, way),
  ]);
}

function countIpvsConnections(machine: Machine): number {
  const text = machine.read('/proc/net/ip_vs_conn');
  return text === undefined ? 0 : Math.max(0, text.trim().split('\n').length - 1);
}

/** Is anything of kube-proxy's left? */
export function hasState(s: Pick<Survey, 'own' | 'nft' | 'ipvs'>): boolean {
  return s.own.length > 0 || s.nft.families.length > 0 || s.ipvs.device || s.ipvs.sets.length > 0;
}

/** Families in which something is kube-proxy's. */
export function familiesOf(s: Pick<Survey, 'own' | 'nft'>): Family[] {
  return ([4, 6] as const).filter(
    (family) => s.nft.families.includes(family) || s.own.some(({ set }) => set.family === family),
  );
}

/** By place: how much of it there is. */
export interface FoundState {
  where: 'iptables' | 'nftables' | 'ipvs';
  variant?: Backend;
  family?: Family;
  chains?: number;
  rules?: number;
}

export function foundState(s: Survey): FoundState[] {
  return [
    ...s.own.map(({ set, own }) => ({
      ...{ where: 'iptables' as const, variant: set.backend, family: set.family },
      ...{ chains: countChains(own), rules: countRules(own) },
    })),
    ...s.nft.families.map((family) => ({ where: 'nftables' as const, family })),
    ...(s.ipvs.device || s.ipvs.sets.length > 0 ? [{ where: 'ipvs' as const }] : []),
  ];
}
