import { type FoundState, flowsText, foundState, type Plan, type Survey } from '../../takeover/index.js';

/** What `-o json` shows. */
export interface TakeoverReport {
  verdict: Plan['verdict'];
  refusals: string[];
  warnings: string[];
  steps: string[];
  found: FoundState[];
  /** Who answers on kube-proxy's ports. */
  answering: Survey['answering'];
  servicePorts: number;
  /** --check and --do: what kube-proxy serves and Shunt does not; --undo: the other way round. */
  missing: Survey['missing'];
  forward: Survey['forward'];
  /** null: nobody can tell. */
  oldFlows: Survey['oldFlows'] | null;
  agent: {
    pinned: boolean;
    seenSeconds: number | null;
    hooks: number;
    draining: boolean;
    takingOver: boolean;
  };
  flows: { tcp: number; udp: number; sctp: number } | null;
  /** After --do and --undo. */
  done?: string[];
  cameBack?: boolean;
  changed?: string[];
  detached?: boolean;
}

export function viewTakeover(s: Survey, plan: Plan): TakeoverReport {
  const { shunt } = s;
  return {
    ...plan,
    found: foundState(s),
    answering: s.answering,
    servicePorts: s.ports.length,
    missing: s.missing,
    forward: s.forward,
    oldFlows: s.oldFlows ?? null,
    agent: {
      pinned: shunt !== undefined,
      seenSeconds: shunt?.agentSeenSeconds ?? null,
      hooks: shunt?.hooks ?? 0,
      draining: shunt?.draining ?? false,
      takingOver: shunt?.takingOver ?? false,
    },
    flows: shunt?.flows ?? null,
  };
}

const VERDICTS: Record<Plan['verdict'], string> = {
  nothing: 'nothing to do',
  waiting: 'kube-proxy is gone; connections that it began are left',
  ready: 'ready',
  refused: 'refused',
};

export function planText(s: Survey, plan: Plan): string {
  const found = foundState(s).map(foundText);
  const lines = [
    `kube-proxy  ${found.length === 0 ? 'no rules' : found.join('\n            ')}`,
    ...s.answering.map(
      ({ who, port, mode }) => `port ${port}  answered by ${who}${mode ? ` (${mode})` : ''}`,
    ),
    ...(s.ports.length > 0
      ? [`services    ${s.ports.length} ports, ${s.missing.length} of them not Shunt's`]
      : []),
    `old flows   ${s.oldFlows ? flowsText(s.oldFlows) : 'unknown'}`,
    `verdict     ${VERDICTS[plan.verdict]}`,
    ...section('refused because', plan.refusals),
    ...section('warnings', plan.warnings),
    ...(plan.verdict === 'nothing' ? [] : section('steps', plan.steps, true)),
  ];
  return `${lines.join('\n')}\n`;
}

function foundText({ where, variant, family, chains, rules }: FoundState): string {
  const of = family === undefined ? '' : `, IPv${family}`;
  if (where === 'iptables') return `iptables-${variant}${of}: ${chains} chains, ${rules} rules`;
  return `${where}${of}`;
}

function section(title: string, lines: readonly string[], numbered = false): string[] {
  if (lines.length === 0) return [];
  return ['', `${title}:`, ...lines.map((line, i) => `  ${numbered ? `${i + 1}.` : '-'} ${line}`)];
}
