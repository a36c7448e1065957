import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Datapath, openDatapath } from '../datapath/open.js';
import { DEFAULT_TIMEOUTS, type FlowTimeouts } from '../datapath/sweep.js';
import { Model } from '../model/index.js';
import { type BpfProgram, monotonicNs, netnsCookie, packageRoot, probeFeatures } from '../native/index.js';
import type { PlanProblem } from '../plan/index.js';
import { Agent } from './agent.js';
import { codeOf, messageOf } from './errors.js';
import { checkMachine, type Machine, StartError } from './features.js';
import { healthzResponder } from './health/answers.js';
import { bpffsPins, cgroupIdOf, kernelHooks, kernelNetlink } from './kernel-ports.js';
import { createLogger, type Logger, WarningLog } from './log.js';
import { MapProgrammer } from './map-programmer.js';
import { AgentMetrics } from './metrics/agent-metrics.js';
import { KernelDatapathStats } from './metrics/datapath-stats.js';
import { metricsResponder } from './metrics/responder.js';
import { hasConntrackLookup, missingFeatures } from './missing.js';
import { readListeners } from './node-ports/listeners.js';
import { KernelNodeTables } from './node-tables.js';
import type { AgentOptions } from './options.js';
import { Servers } from './servers.js';
import { settingsOf } from './settings.js';
import { openSource } from './sources.js';

/** A predecessor that was just told to end may still hold the pins. */
const LOCK_WAIT_MS = 5000;
const MISSING_PINS =
  "take over pinned state: these maps were not pinned beside the others. they begin empty, and what was remembered in them is lost; look for who removes pins, 'shunt cleanup' is for when no agent runs";

/**
 * Runs the agent until SIGTERM, SIGINT or SIGHUP (its terminal went; files are watched, there is nothing to reload). Whatever ends it, the data path goes on without it.
 * @returns the exit code: 0 after a signal, 1 when it could not start; the reason is logged.
 */
export async function runAgent(
  options: AgentOptions,
  log: Logger = createLogger(options.logLevel),
): Promise<number> {
  const ended = signalled();
  // Before the command line's own: a log line, not a message for a person.
  process.prependOnceListener('uncaughtException', (error) => {
    log.fatal({ err: error }, 'run agent: unexpected error. the data path goes on; start the agent again');
    process.exit(1);
  });
  let datapath: Datapath | undefined;
  let agent: Agent<BpfProgram> | undefined;
  const servers = new Servers();
  const metrics = new AgentMetrics({ version: packageVersion(), servicesMax: options.metricsServices });
  try {
    const machine = checkMachine(options);
    for (const warning of [...options.warnings, ...machine.warnings]) log.warn(warning);
    adjustOomScore(options.oomScoreAdj, log);
    const { source, from, events } = openSource(options.source, options, log, (sample) =>
      metrics.requested(sample),
    );
    log.info({ node: options.nodeName, source: from, pinPath: options.pinPath }, 'starting');
    datapath = await openWhenFree(options);
    agent = makeAgent(options, machine, datapath, { source, events }, metrics, log);
    process.on('SIGUSR2', () => log.info({ status: agent?.status() }, 'status'));
    await openServers(servers, options, agent, metrics, datapath, log);
    await agent.start();
    log.info({ signal: await ended }, 'stopping; the data path goes on');
    return 0;
  } catch (error) {
    report(error, log);
    return 1;
  } finally {
    servers.close();
    await agent?.stop();
    datapath?.close();
  }
}

function signalled(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
      process.once(signal, () => resolve(signal));
  });
}

async function openWhenFree(options: AgentOptions): Promise<Datapath> {
  const { pinPath, sizes } = options;
  const settings = settingsOf(options, netnsCookie());
  const deadline = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await openDatapath({ pinPath, settings, sizes });
    } catch (error) {
      if (codeOf(error) !== 'EBUSY' || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function makeAgent(
  options: AgentOptions,
  machine: Machine,
  datapath: Datapath,
  { source, events }: Pick<ReturnType<typeof openSource>, 'source' | 'events'>,
  observer: AgentMetrics,
  log: Logger,
): Agent<BpfProgram> {
  const { abi, config, store } = datapath;
  const features = probeFeatures();
  const missing = missingFeatures(features, hasConntrackLookup());
  observer.missing(missing.map(({ name }) => name));
  for (const { name, isHarmless, consequence, wayOut } of missing) {
    const next = wayOut === '' ? '' : `. ${wayOut}`;
    log[isHarmless ? 'info' : 'warn'](
      { kernel: features.kernel },
      `use kernel: it has no ${name}: ${consequence}${next}`,
    );
  }
  const tables = new KernelNodeTables({ abi, map: (name) => datapath.map(name), config, now: monotonicNs });
  if (datapath.reusedMaps.size > 0) {
    log.info({ maps: datapath.reusedMaps.size }, 'taking over pinned state');
    const missing = [...abi.maps.keys()].filter((name) => !datapath.reusedMaps.has(name));
    if (missing.length > 0) log.warn({ map: missing }, MISSING_PINS);
  } else {
    tables.holdFlows();
    if (options.takeoverWindowS > 0) tables.setTakeover(options.takeoverWindowS);
  }
  const problems = new WarningLog(log);
  const sweeper = datapath.sweeper(flowTimeoutsOf(options));
  const programmer = new MapProgrammer({
    store,
    clusterCIDRs: options.clusterCIDRs,
    onProblem: (problem) => reportProblem(problem, problems),
    onRoom: () => agent.writeAgain(),
    onFailure: (error) => agent.writeFailed(error),
  });
  const agent = new Agent<BpfProgram>({
    options,
    source,
    events,
    model: new Model({
      nodeName: options.nodeName,
      serveAll: options.replaceKubeProxy,
      proxyName: 'shunt',
      defaultAlgorithm: options.defaultAlgorithm,
      nodePortRange: options.nodePortRange,
      serviceCidrs: options.serviceCIDRs,
      podCidrs: options.clusterCIDRs,
      externalIpCidrs: options.externalIpCIDRs,
      sourceRangesOnNodePorts: options.sourceRangesOnNodePorts,
    }),
    programmer,
    tables,
    netlink: kernelNetlink(),
    hooks: kernelHooks(features.tcx),
    pins: bpffsPins(datapath.linksDirectory),
    program: (name) => datapath.program(name),
    cgroupPath: machine.cgroupPath,
    cgroupId: cgroupIdOf,
    sweepFlows: async () => {
      const { expired, orphans } = sweeper.step();
      return expired + orphans;
    },
    restorePins: () => datapath.restorePins(),
    readListeners: () => readListeners(),
    log,
    observer,
  });
  return agent;
}

/** @throws Error with --bind-address-hard-fail, for an address that cannot be had. */
async function openServers(
  servers: Servers,
  options: AgentOptions,
  agent: Agent<BpfProgram>,
  metrics: AgentMetrics,
  datapath: Datapath,
  log: Logger,
): Promise<void> {
  const stats = new KernelDatapathStats(datapath, () => agent.status().counters.applies);
  await servers.open({
    options,
    log,
    healthz: healthzResponder(
      () => agent.health.state(),
      (path, status) => metrics.answered(path, status),
    ),
    metrics: metricsResponder({
      scrape: () => metrics.scrape(agent, stats),
      contentType: metrics.registry.contentType,
      proxyMode: options.proxyMode,
      configz: () => options.configz,
    }),
    everySecond: () => stats.step(),
  });
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}

function flowTimeoutsOf({ flowTimeouts }: AgentOptions): FlowTimeouts {
  const { establishedS, halfClosedS } = flowTimeouts;
  const nanoseconds = (seconds: number) => BigInt(Math.round(seconds * 1e9));
  return {
    ...DEFAULT_TIMEOUTS,
    ...(establishedS !== undefined && { established: nanoseconds(establishedS) }),
    ...(halfClosedS !== undefined && { halfClosed: nanoseconds(halfClosedS) }),
  };
}

function adjustOomScore(value: number | undefined, log: Logger): void {
  if (value === undefined) return;
  try {
    writeFileSync('/proc/self/oom_score_adj', String(value));
  } catch (error) {
    log.warn(
      `set oom_score_adj to ${value}: ${messageOf(error)} (${codeOf(error)}). run with the capability SYS_RESOURCE, or leave --oom-score-adj out`,
    );
  }
}

function reportProblem({ service, code, map, message }: PlanProblem, warnings: WarningLog): void {
  warnings.warn(
    { ...(service !== undefined && { service }), ...(map !== undefined && { map }), code },
    message,
  );
}

function report(error: unknown, log: Logger): void {
  if (error instanceof StartError) for (const problem of error.problems) log.fatal(problem);
  // The message says it all; the stack is for whoever asked for detail.
  else if (log.isLevelEnabled('debug')) log.fatal({ err: error }, messageOf(error));
  else log.fatal(messageOf(error));
}
