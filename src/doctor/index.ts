import { checkApi } from './check-api.js';
import { checkCni } from './check-cni.js';
import { checkHooks } from './check-hooks.js';
import { checkKernel } from './check-kernel.js';
import { checkMounts } from './check-mounts.js';
import { checkNetwork } from './check-network.js';
import { checkNodePorts } from './check-node-ports.js';
import { checkProxies } from './check-proxies.js';
import { choicesOf } from './choices.js';
import type { Facts } from './facts.js';
import { finding, ok, type Report, worst } from './finding.js';

export type { Facts } from './facts.js';
export type { Choice, Finding, Level, Report } from './finding.js';

/** The agent's heartbeat comes every second; some grace for a busy machine. */
const ALIVE_WITHIN_S = 10;

/** Judges facts; looks at nothing itself. */
export function diagnose(facts: Facts): Report {
  const findings = [
    ...checkKernel(facts),
    ...checkMounts(facts),
    ...checkNetwork(facts),
    ...checkNodePorts(facts),
    ...checkCni(facts),
    ...checkHooks(facts),
    ...checkProxies(facts),
    ...checkApi(facts),
    checkAgent(facts),
  ];
  return { level: worst(findings), findings, choices: choicesOf(facts) };
}

function checkAgent({ agent, intent }: Facts) {
  const { pinned, lastSeenSeconds } = agent;
  if (!pinned) return ok('agent', `nothing is pinned at ${intent.pinPath}: no agent has run here`);
  if (lastSeenSeconds !== undefined && lastSeenSeconds <= ALIVE_WITHIN_S)
    return ok('agent', 'the agent is alive');
  return finding(
    'warn',
    'agent',
    lastSeenSeconds === undefined
      ? 'maps are pinned, but no agent was ever seen'
      : `the agent was last seen ${Math.round(lastSeenSeconds)} s ago`,
    'traffic goes on with what the maps say; changes of Services and endpoints are not followed',
    "start the agent again, or run 'shunt cleanup' to remove what it left",
  );
}
