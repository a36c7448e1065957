/** From what was seen to what may be done, and why not. Pure. */
import { flowsText, totalOf } from './conntrack.js';
import { countChains, countRules, type FamilyPort } from './rules.js';
import { isAlive } from './shunt.js';
import { familiesOf, hasState, type Survey } from './survey.js';

export interface DoOptions {
  /** Add an accept rule where forwarded traffic would be cut. */
  acceptForward: boolean;
  /** Addresses of all pods: connections that begin are accepted from and to them. */
  clusterCidrs: readonly string[];
  /** Go on although kube-proxy's rules serve what Shunt does not. */
  acceptMissing: boolean;
}

export interface Plan {
  /** nothing: kube-proxy has left nothing. waiting: only its connections are left. */
  verdict: 'nothing' | 'waiting' | 'ready' | 'refused';
  /** Why not; each with the way out. */
  refusals: string[];
  warnings: string[];
  /** In the order in which they are done. */
  steps: string[];
}

const EXAMPLES = 5;

export function planDo(s: Survey, o: DoOptions): Plan {
  const refusals = [...runningTexts(s), ...s.blind, ...servingTexts(s)];
  const warnings: string[] = [];
  if (s.missing.length > 0) {
    const text = `replace kube-proxy: ${s.missing.length} of its ${s.ports.length} Service ports are not Shunt's (${namesOf(s.missing)}).`;
    if (o.acceptMissing) warnings.push(`${text} they end with its rules`);
    else
      refusals.push(
        `${text} start the agent with --replace-kube-proxy and wait until it serves, or pass --accept-missing if those Services are gone`,
      );
  }
  forwardTexts(s, o, refusals, warnings);
  if (!s.hasNft && familiesOf(s).length > 0)
    refusals.push(
      "keep kube-proxy's connections translated: there is no nft here (ENOENT). install nftables",
    );
  for (const program of s.ipvs.missing)
    refusals.push(`remove ipvs state: there is no ${program} here (ENOENT). install it`);
  for (const { set, own } of s.own) {
    for (const { table, chain, usedBy } of own.kept) {
      warnings.push(`chain ${chain} of table ${table} (IPv${set.family}) stays: ${usedBy} uses it`);
    }
  }
  if (!s.oldFlows && s.shunt)
    warnings.push(
      'count connections: neither the conntrack program nor /proc/net/nf_conntrack is here, so nobody can tell when the last old one is gone. install conntrack',
    );
  if (s.shunt?.draining)
    warnings.push("Shunt begins no flows at present, since 'takeover --undo': --do ends that first");
  const hasOld = s.oldFlows !== undefined && totalOf(s.oldFlows) > 0;
  // Whoever cannot look must not say that there is nothing.
  if (!hasState(s) && s.blind.length === 0)
    return { verdict: hasOld ? 'waiting' : 'nothing', refusals: [], warnings: [], steps: [] };
  return { verdict: refusals.length > 0 ? 'refused' : 'ready', refusals, warnings, steps: stepsOf(s, o) };
}

function runningTexts(s: Survey): string[] {
  return s.answering
    .filter(({ who }) => who === 'kube-proxy')
    .map(({ port, mode }) => {
      const text = mode === undefined ? '' : ` in ${mode} mode`;
      return `remove kube-proxy's rules: kube-proxy${text} answers on port ${port} (EBUSY). end it first: it would put its rules back`;
    });
}

function servingTexts({ shunt }: Survey): string[] {
  if (!shunt)
    return [
      "replace kube-proxy: no data path of Shunt's is pinned (ENOENT). start the agent with --replace-kube-proxy, or pass its --pin-path",
    ];
  const texts: string[] = [];
  if (!isAlive(shunt)) {
    const seen =
      shunt.agentSeenSeconds === null
        ? 'it was never seen'
        : `last seen ${Math.round(shunt.agentSeenSeconds)} s ago`;
    texts.push(`replace kube-proxy: Shunt's agent does not run, ${seen} (ESRCH). start it`);
  }
  if (shunt.hooks === 0)
    texts.push("replace kube-proxy: none of Shunt's programs is attached (ENOENT). see 'shunt status'");
  return texts;
}

function forwardTexts(s: Survey, o: DoOptions, refusals: string[], warnings: string[]): void {
  const text = (f: Survey['forward'][number]) => `${f.what} (IPv${f.family}, ${f.backend})`;
  const cut = s.forward.filter((f) => f.chain === 'FORWARD' && f.result === 'cut');
  const isMended = (f: Survey['forward'][number]) =>
    o.acceptForward && (!f.isNew || o.clusterCidrs.length > 0);
  const left = cut.filter((f) => !isMended(f));
  if (left.length > 0) {
    const cidr = left.some((f) => f.isNew) ? ' and --cluster-cidr with the addresses of all pods' : '';
    refusals.push(
      `remove KUBE-FORWARD: chain FORWARD would drop ${left.map(text).join('; ')} (EPERM). have your CNI or firewall accept it, or pass --accept-forward${cidr}`,
    );
  }
  for (const f of s.forward) {
    if (f.chain === 'INPUT') {
      warnings.push(
        `chain INPUT ${f.result === 'cut' ? 'drops' : 'may drop'} ${text(f)} without kube-proxy's rule. accept it, or that load balancer takes this node out`,
      );
    } else if (f.result === 'unsure') {
      warnings.push(
        `chain FORWARD may drop ${text(f)} without KUBE-FORWARD: a rule there cannot be judged. look at it`,
      );
    }
  }
}

function stepsOf(s: Survey, o: DoOptions): string[] {
  const steps: string[] = [];
  const old = s.oldFlows ? flowsText(s.oldFlows) : 'unknown';
  steps.push(
    `leave kube-proxy's connections to nf_conntrack until they end (now: ${old}); nothing is flushed`,
  );
  if (familiesOf(s).length > 0)
    steps.push('add table shunt-takeover, which keeps their translation going and touches no packet');
  const cut = s.forward.some((f) => f.chain === 'FORWARD' && f.result === 'cut');
  for (const { set, own } of s.own) {
    const where = `iptables-${set.backend}, IPv${set.family}`;
    if (cut && o.acceptForward && s.forward.some((f) => f.family === set.family && f.backend === set.backend))
      steps.push(`add chain SHUNT-FORWARD where KUBE-FORWARD was (${where})`);
    steps.push(`remove ${countChains(own)} chains with ${countRules(own)} rules of kube-proxy's (${where})`);
  }
  for (const family of s.nft.families) steps.push(`delete table ${family === 4 ? 'ip' : 'ip6'} kube-proxy`);
  steps.push('watch whether rules come back');
  if (s.ipvs.device || s.ipvs.sets.length > 0) {
    const { servers, sets } = s.ipvs;
    steps.push(
      `when its connections are gone: remove ${servers.length} virtual servers, device kube-ipvs0, ${sets.length} ipsets`,
    );
  }
  steps.push('report when the last old connection is gone');
  return steps;
}

/** The first ports by Service, so that many ports of one Service do not hide the others. */
function namesOf(missing: readonly FamilyPort[]): string {
  const byService = new Map<string, string[]>();
  for (const p of missing) {
    const port = `${p.ip.includes(':') ? `[${p.ip}]` : p.ip}:${p.port}/${p.protocol}`;
    const name = p.service ?? port;
    byService.set(name, [...(byService.get(name) ?? []), ...(p.service === undefined ? [] : [port])]);
  }
  const shown = [...byService]
    .slice(0, EXAMPLES)
    .map(([name, ports]) => [name, ...ports.slice(0, 2)].join(' '));
  const more = byService.size - shown.length;
  return shown.join(', ') + (more > 0 ? `, and ${more} more; all of them with -o json` : '');
}

/** What Shunt serves and kube-proxy's rules do not. What ipvs serves is not in its rules. */
export function onlyShunts(s: Survey): FamilyPort[] {
  if (s.ipvs.device) return [];
  const known = new Set(s.ports.map(keyOf));
  return (s.shunt?.ports ?? []).filter((port) => !known.has(keyOf(port)));
}

/** Whether new connections may go to kube-proxy's rules. */
export function planUndo(s: Survey, o: { acceptMissing: boolean }): Plan {
  const refusals = [...s.blind];
  const warnings: string[] = [];
  if (!s.shunt) return { verdict: 'nothing', refusals, warnings, steps: [] };
  if (!hasState(s)) {
    refusals.push(
      "give Services back: no rules of kube-proxy's are here (ENOENT). start kube-proxy and wait until it has written them",
    );
  } else {
    const missing = onlyShunts(s);
    if (missing.length > 0) {
      const text = `give Services back: ${missing.length} of Shunt's ${s.shunt.ports.length} Service ports are not in kube-proxy's rules (${namesOf(missing)}).`;
      if (o.acceptMissing) warnings.push(`${text} nobody serves them afterwards`);
      else
        refusals.push(
          `${text} wait until kube-proxy has written all. it leaves Services with label service.kubernetes.io/service-proxy-name alone: take the label away, or pass --accept-missing, and nobody serves them afterwards`,
        );
    }
  }
  const { flows } = s.shunt;
  const steps = [
    "begin no flow any more: new connections go to kube-proxy's rules",
    `let Shunt's own flows finish (now: ${flowsText(flows as never)})`,
    'detach, and remove pins, once they are gone and the agent has ended',
  ];
  if (s.accepting.length > 0) steps.push('remove chain SHUNT-FORWARD');
  return { verdict: refusals.length > 0 ? 'refused' : 'ready', refusals, warnings, steps };
}

function keyOf(p: { family: 4 | 6; ip: string; port: number; protocol: string }): string {
  return `${p.family}|${p.ip}|${p.port}|${p.protocol}`;
}
