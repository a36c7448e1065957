/** Does what was planned, in the order that loses nothing. */
import {
  countOldFlows,
  countTranslated,
  type OldFlows,
  releaseTuples,
  reserveTuples,
  totalOf,
} from './conntrack.js';
import { acceptLines, withdrawLines } from './forward.js';
import { applyIptables, readIptables, readOne } from './iptables.js';
import { readIpvs, removeIpvs } from './ipvs.js';
import type { Machine } from './machine.js';
import { FORWARD_CHAIN, KEEP_TABLE, NFT_TABLE } from './names.js';
import { applyNft, deleteScript, keepScript, readNft } from './nftables.js';
import type { DoOptions } from './plan.js';
import {
  dropChainsScript,
  findOwn,
  foreignLines,
  isEmpty,
  type RuleSet,
  removalScript,
  unhookScript,
} from './rules.js';
import type { ShuntControl, ShuntState } from './shunt.js';
import { familiesOf, hasState, type OwnSet, type Survey } from './survey.js';

/** Takes one sentence about what has happened. */
export type Progress = (text: string) => void;

export interface DoResult {
  /** Something that is kube-proxy's is there again: it runs. */
  cameBack: boolean;
  /** Rules of others that are not as they were. */
  changed: string[];
  /** undefined: nobody can tell. */
  oldFlows: OldFlows | undefined;
}

/** nf_conntrack forgets an idle connection after five days. */
const TAKEOVER_SECONDS = 5 * 24 * 3600;
const POLL_MS = 1000;
/** Answers to what was sent before come no later, also from a busy backend. */
const HAND_OVER_MS = 1000;

export async function takeOver(
  machine: Machine,
  control: ShuntControl,
  s: Survey,
  o: DoOptions & { watchSeconds: number; waitSeconds: number },
  say: Progress,
): Promise<DoResult> {
  await control.setDrain(false);
  await control.setTakeover(TAKEOVER_SECONDS);
  say("new connections are Shunt's; old ones stay with nf_conntrack");
  const keeping = familiesOf(s);
  if (keeping.length > 0)
    await applyNft(machine, keepScript(keeping.filter((f) => !s.nft.keeping.includes(f))));
  const changed: string[] = [];
  for (const set of s.own) changed.push(...(await removeFrom(machine, set, s, o, say)));
  const { families } = s.nft;
  if (families.length > 0) {
    await applyNft(machine, deleteScript(families, NFT_TABLE));
    say(`removed nftables table kube-proxy (${families.map((f) => `IPv${f}`).join(', ')})`);
  }
  const cameBack = hasState(s) && (await watch(machine, o.watchSeconds, say));
  const oldFlows = await waitForOldFlows(machine, control, o.waitSeconds, say);
  if (!cameBack && oldFlows && totalOf(oldFlows) === 0) await finishTakeover(machine, control, say);
  return { cameBack, changed, oldFlows };
}

async function removeFrom(
  machine: Machine,
  { set, own }: OwnSet,
  s: Survey,
  o: DoOptions,
  say: Progress,
): Promise<string[]> {
  const isCut = s.forward.some(
    (f) =>
      f.family === set.family && f.backend === set.backend && f.chain === 'FORWARD' && f.result === 'cut',
  );
  const cidrs = o.clusterCidrs.filter((cidr) => cidr.includes(':') === (set.family === 6));
  const first = isCut && o.acceptForward ? { filter: acceptLines(set, cidrs) } : {};
  if (set.backend === 'nft') {
    await applyIptables(machine, set, unhookScript(own, first));
    await applyNft(machine, dropChainsScript(own, set.family));
  } else {
    await applyIptables(machine, set, removalScript(own, first));
  }
  const after = await readOne(machine, set.family, set.backend);
  const where = `iptables-${set.backend}, IPv${set.family}`;
  say(`removed kube-proxy's rules (${where})`);
  if (!after || typeof after === 'string') return [];
  const isOurs = (name: string) => name === FORWARD_CHAIN;
  return difference(foreignLines(set.tables, isOurs), foreignLines(after.tables, isOurs)).map(
    (line) => `${where}: ${line}`,
  );
}

/** Lines of one that the other has not, with a sign. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  const count = new Map<string, number>();
  for (const line of before) count.set(line, (count.get(line) ?? 0) - 1);
  for (const line of after) count.set(line, (count.get(line) ?? 0) + 1);
  const lines = [...count].filter(([, n]) => n !== 0).map(([line, n]) => `${n < 0 ? '-' : '+'} ${line}`);
  if (lines.length > 0 || before.length !== after.length) return lines;
  const moved = before.findIndex((line, i) => line !== after[i]);
  return moved < 0 ? [] : [`moved: ${before[moved]}`];
}

/** kube-proxy writes its rules again within its sync period when it runs. */
async function watch(machine: Machine, seconds: number, say: Progress): Promise<boolean> {
  const until = machine.now() + seconds * 1000;
  if (seconds > 0) say(`watching for ${seconds} s whether rules come back`);
  for (;;) {
    const [{ sets }, nft] = await Promise.all([readIptables(machine), readNft(machine)]);
    const back = sets.filter((set) => !isEmpty(findOwn(set.tables)));
    if (back.length > 0 || (nft && nft.families.length > 0)) {
      say("rules of kube-proxy's have come back: it is running somewhere on this node");
      return true;
    }
    if (machine.now() >= until) return false;
    await machine.sleep(POLL_MS);
  }
}

async function waitForOldFlows(
  machine: Machine,
  control: ShuntControl,
  seconds: number,
  say: Progress,
): Promise<OldFlows | undefined> {
  const until = machine.now() + seconds * 1000;
  let said = -1;
  for (;;) {
    const shunt = await control.look();
    const flows = shunt && (await countOldFlows(machine, (flow) => shunt.isService(flow)));
    if (!flows) return undefined;
    const total = totalOf(flows);
    if (total !== said)
      say(total === 0 ? 'the last old connection is gone' : `${total} old connections are left`);
    said = total;
    if (total === 0 || machine.now() >= until) return flows;
    await machine.sleep(POLL_MS);
  }
}

/** With the last old connection goes what was there for its sake. */
export async function finishTakeover(machine: Machine, control: ShuntControl, say: Progress): Promise<void> {
  await control.setTakeover(0);
  const nft = await readNft(machine);
  if (nft && nft.keeping.length > 0) {
    const translated = await countTranslated(machine);
    if (translated === 0) {
      await applyNft(machine, deleteScript(nft.keeping, KEEP_TABLE));
      say('removed table shunt-takeover');
    } else {
      say(`table shunt-takeover stays: ${translated ?? 'some'} connections may depend on nf_nat`);
    }
  }
  const ipvs = await readIpvs(machine);
  const connections = machine.read('/proc/net/ip_vs_conn');
  if (
    (ipvs.device || ipvs.sets.length > 0) &&
    (connections === undefined || connections.trim().split('\n').length <= 1)
  ) {
    await removeIpvs(machine, ipvs);
    say('removed virtual servers, kube-ipvs0 and ipsets');
  }
}

export interface UndoResult {
  flows: ShuntState['flows'];
  detached: boolean;
  /** Why nothing was detached, with what to do. */
  next: string | undefined;
  problems: string[];
}

export async function giveBack(
  machine: Machine,
  control: ShuntControl,
  s: Survey,
  o: { waitSeconds: number; force: boolean },
  say: Progress,
): Promise<UndoResult> {
  const tuples = s.shunt?.ownTuples ?? [];
  const reserved = await reserveTuples(machine, tuples);
  if (reserved < tuples.length) {
    say(
      `${tuples.length - reserved} of ${tuples.length} source ports could not be reserved with conntrack: a new connection that gets one of them waits until the old one has ended`,
    );
  }
  await control.setDrain(true);
  say("new connections go to kube-proxy's rules; Shunt's own go on");
  const until = machine.now() + o.waitSeconds * 1000;
  let flows = await flowsOf(control);
  let said = -1;
  for (;;) {
    const total = flows.tcp + flows.udp + flows.sctp;
    if (total !== said)
      say(total === 0 ? "the last of Shunt's flows is gone" : `${total} of Shunt's flows are left`);
    said = total;
    if (total === 0 || machine.now() >= until) break;
    await machine.sleep(POLL_MS);
    flows = await flowsOf(control);
  }
  if (said > 0 && !o.force) {
    const next =
      "run 'shunt takeover --undo' again later, or with --force: then TCP connections that are left break, and UDP goes to kube-proxy with the next datagram";
    return { flows, detached: false, next, problems: [] };
  }
  if (flows.udp > 0) {
    // What is under way when the programs go would lose its answer.
    const cause = await control.handOver();
    if (cause !== undefined) return { flows, detached: false, next: cause, problems: [] };
    await machine.sleep(HAND_OVER_MS);
  }
  const result = await control.cleanUp();
  if (typeof result === 'string') {
    // Answers of Shunt's own UDP flows belong to it again if an agent has begun during the hand-over.
    await control.setDrain(true);
    return { flows, detached: false, next: result, problems: [] };
  }
  await releaseTuples(machine);
  say(`detached; ${result.removed} pins removed`);
  await withdraw(machine, s.accepting, say);
  if (s.nft.keeping.length > 0) await applyNft(machine, deleteScript(s.nft.keeping, KEEP_TABLE));
  return { flows, detached: true, next: undefined, problems: result.problems };
}

async function flowsOf(control: ShuntControl): Promise<ShuntState['flows']> {
  return (await control.look())?.flows ?? { tcp: 0, udp: 0, sctp: 0 };
}

async function withdraw(machine: Machine, sets: readonly RuleSet[], say: Progress): Promise<void> {
  for (const set of sets) {
    // It may have changed since it was read.
    const now = await readOne(machine, set.family, set.backend);
    if (!now || typeof now === 'string') continue;
    await applyIptables(
      machine,
      now,
      removalScript({ tables: [], kept: [] }, { filter: withdrawLines(now) }),
    );
    say(`removed chain ${FORWARD_CHAIN} (iptables-${set.backend}, IPv${set.family})`);
  }
}
