import { isIPv6 } from 'node:net';
import { KUBE_PROXY_PORTS, type LogLevel, OptionsError, parseList, SIDE_BY_SIDE_PORTS } from '../options.js';
import { parseDuration } from './duration.js';
import { IGNORED_FIELDS, KUBE_PROXY_FLAGS } from './flags.js';
import { boolFlag, configurationOfFlags, type GivenFlags } from './given-flags.js';
import { broken, type Mistake, readConfiguration } from './read.js';
import { DEFAULT_CONFIGURATION, type KubeProxyConfiguration } from './schema.js';
import { get, isTree, leaves, mergeTrees, put, type Tree } from './tree.js';

/** What flags and file together say, in the agent's words; undefined: not said. */
export interface KubeProxySettings {
  replaceKubeProxy: boolean | undefined;
  kubeconfig: string | undefined;
  nodeName: string | undefined;
  clusterCIDRs: string[] | undefined;
  nodePortAddresses: string[] | undefined;
  masqueradeAll: boolean | undefined;
  podDevices: string[];
  proxyMode: 'iptables' | 'ipvs' | 'nftables';
  healthzBindAddress: string | undefined;
  metricsBindAddress: string | undefined;
  bindAddressHardFail: boolean | undefined;
  healthStaleS: number;
  oomScoreAdj: number | undefined;
  /** Idle times of TCP flows, in seconds. */
  flowTimeouts: { establishedS?: number; halfClosedS?: number };
  logLevel: LogLevel | undefined;
  /** Everything filled in, for /configz and --write-config-to. */
  configuration: Tree;
  /** What is accepted and has no effect, and why; sentences. */
  warnings: string[];
}

/**
 * Flags beat the file, the file beats the defaults. (Upstream ignores most flags beside a file; here a flag that is
 * typed is meant.)
 * @param replaceFlag --replace-kube-proxy, which is not kube-proxy's.
 * @throws OptionsError that names a flag, or every mistake of the file.
 */
export function resolveKubeProxyFlags(given: GivenFlags, replaceFlag?: boolean): KubeProxySettings {
  const file = given.get('config');
  const name = String(file);
  const fromFile: Tree = file === undefined ? {} : readConfiguration(name);
  const fromFlags = configurationOfFlags(given);
  const merged = mergeTrees(fromFile, fromFlags) as Partial<KubeProxyConfiguration>;
  checkTogether(merged, fromFlags, file === undefined ? undefined : name);
  const replaceKubeProxy = replaceFlag ?? merged.replaceKubeProxy;
  const mode = merged.mode || 'iptables';
  const proxyMode = mode as KubeProxySettings['proxyMode'];
  const rules = mode === 'nftables' ? merged.nftables : merged.iptables;
  const sync = mode === 'ipvs' ? merged.ipvs : rules;
  const addresses = bindAddresses(merged, given, replaceKubeProxy ?? false);
  const local = localTraffic(merged);
  return {
    replaceKubeProxy,
    kubeconfig: merged.clientConnection?.kubeconfig || undefined,
    nodeName: merged.hostnameOverride?.trim() || undefined,
    clusterCIDRs: local.clusterCIDRs,
    nodePortAddresses: nodePortAddresses(merged),
    masqueradeAll: rules?.masqueradeAll,
    podDevices: local.podDevices,
    proxyMode,
    ...addresses,
    bindAddressHardFail: merged.bindAddressHardFail,
    healthStaleS: (2 * (milliseconds(sync?.syncPeriod) ?? 30_000)) / 1000,
    oomScoreAdj: merged.oomScoreAdj,
    flowTimeouts: flowTimeouts(merged),
    logLevel: levelOf(merged.logging?.verbosity),
    configuration: complete(merged, addresses, replaceKubeProxy),
    warnings: [
      ...flagWarnings(given),
      ...(file === undefined ? [] : fileWarnings(fromFile, name)),
      ...local.warnings,
      ...modeWarnings(merged),
    ],
  };
}

/** What no field can be wrong about alone. */
function checkTogether(merged: Partial<KubeProxyConfiguration>, flags: Tree, file: string | undefined): void {
  const mistakes: Mistake[] = [];
  for (const section of ['iptables', 'ipvs', 'nftables'] as const) {
    const least = milliseconds(merged[section]?.minSyncPeriod);
    const most = milliseconds(merged[section]?.syncPeriod);
    if (least === undefined || most === undefined || least <= most) continue;
    const message = `is longer than ${section}.syncPeriod; make it shorter`;
    mistakes.push({ path: `${section}.minSyncPeriod`, message });
  }
  for (const [mode, path] of [
    ['BridgeInterface', 'detectLocal.bridgeInterface'],
    ['InterfaceNamePrefix', 'detectLocal.interfaceNamePrefix'],
  ] as const) {
    if (merged.detectLocalMode !== mode || get(merged, path)) continue;
    mistakes.push({ path, message: `is missing, which detectLocalMode ${mode} needs; name it` });
  }
  const [first] = mistakes;
  if (!first) return;
  const flag = KUBE_PROXY_FLAGS.find(({ paths }) => paths.includes(first.path));
  const typed = flag?.paths.some((path) => get(flags, path) !== undefined);
  if (file !== undefined && !typed) throw broken(file, mistakes);
  throw new OptionsError(`--${flag?.name}`, `use --${flag?.name}: ${first.path} ${first.message}`);
}

function bindAddresses(
  merged: Partial<KubeProxyConfiguration>,
  given: GivenFlags,
  replaces: boolean,
): Pick<KubeProxySettings, 'healthzBindAddress' | 'metricsBindAddress'> {
  const ports = replaces ? KUBE_PROXY_PORTS : SIDE_BY_SIDE_PORTS;
  const isSix = isIPv6(merged.bindAddress ?? '');
  const choose = (flag: string, value: string | undefined, six: string, four: string) => {
    // On the command line empty means none; in a file it is what nobody filled in.
    if (given.get(flag) === '') return '';
    return value || (isSix ? six : four);
  };
  const { healthzBindAddress: healthz, metricsBindAddress: metrics } = merged;
  return {
    healthzBindAddress: choose(
      'healthz-bind-address',
      healthz,
      `[::]:${ports.healthz}`,
      `0.0.0.0:${ports.healthz}`,
    ),
    metricsBindAddress: choose(
      'metrics-bind-address',
      metrics,
      `[::1]:${ports.metrics}`,
      `127.0.0.1:${ports.metrics}`,
    ),
  };
}

function nodePortAddresses({ mode, nodePortAddresses: list }: Partial<KubeProxyConfiguration>) {
  if (list && list.length > 0) return list;
  // Each mode has its own default upstream, and what is open must not change with the proxy.
  return mode === 'nftables' ? ['primary'] : undefined;
}

function localTraffic(merged: Partial<KubeProxyConfiguration>): {
  clusterCIDRs: string[] | undefined;
  podDevices: string[];
  warnings: string[];
} {
  const mode = merged.detectLocalMode || 'ClusterCIDR';
  const cidrs = parseList(merged.clusterCIDR ?? '');
  if (mode === 'ClusterCIDR') {
    return { clusterCIDRs: cidrs.length > 0 ? cidrs : undefined, podDevices: [], warnings: [] };
  }
  const prefix = merged.detectLocal?.interfaceNamePrefix ?? '';
  const byPrefix = mode === 'InterfaceNamePrefix';
  const warnings: string[] = [];
  if (!byPrefix) {
    warnings.push(`use detectLocalMode ${mode}: no effect. pods are known by the devices that lead to them`);
  }
  if (cidrs.length > 0) {
    warnings.push(`use clusterCIDR: no effect, as with kube-proxy. detectLocalMode is ${mode}`);
  }
  return { clusterCIDRs: undefined, podDevices: byPrefix ? [`${prefix}*`] : [], warnings };
}

function flowTimeouts({ conntrack }: Partial<KubeProxyConfiguration>): KubeProxySettings['flowTimeouts'] {
  const established = milliseconds(conntrack?.tcpEstablishedTimeout);
  const halfClosed = milliseconds(conntrack?.tcpCloseWaitTimeout);
  return {
    ...(established !== undefined && { establishedS: established / 1000 }),
    ...(halfClosed !== undefined && { halfClosedS: halfClosed / 1000 }),
  };
}

/** Of a duration that is given and not zero. */
function milliseconds(text: string | undefined): number | undefined {
  return parseDuration(text ?? '') || undefined;
}

function levelOf(verbosity = 0): LogLevel | undefined {
  return verbosity >= 6 ? 'trace' : verbosity >= 4 ? 'debug' : undefined;
}

function flagWarnings(given: GivenFlags): string[] {
  return KUBE_PROXY_FLAGS.filter(({ name, ignored }) => ignored !== undefined && given.has(name)).map(
    ({ name, ignored }) => `use --${name}: no effect. ${ignored}`,
  );
}

function fileWarnings(tree: Tree, file: string): string[] {
  return leaves(tree).flatMap(([path, value]) => {
    const field = path.startsWith('featureGates.') ? 'featureGates' : path;
    const why = IGNORED_FIELDS[field];
    if (why === undefined || isDefault(field, value)) return [];
    return [`read config ${file}: ${path} has no effect. ${why}`];
  });
}

function modeWarnings({ mode, bindAddress }: Partial<KubeProxyConfiguration>): string[] {
  const warnings: string[] = [];
  if (mode) {
    const kept = mode === 'nftables' ? 'NodePorts on the primary addresses by default, and ' : '';
    warnings.push(
      `use proxy mode ${mode}: the data path is eBPF in every mode. kept of this one: ${kept}the answer of /proxyMode`,
    );
  }
  if (bindAddress && bindAddress !== '0.0.0.0' && bindAddress !== '::') {
    warnings.push(
      `use bind address ${bindAddress}: it decides the family of the default bind addresses only. the primary addresses are those of the Node object`,
    );
  }
  return warnings;
}

/** What a file has in a field that nobody filled in, or what kube-proxy takes then. */
function isDefault(path: string, value: unknown): boolean {
  if (value === '' || value === 0 || value === false || value === '0') {
    return path !== 'iptables.localhostNodePorts';
  }
  if (Array.isArray(value) ? value.length === 0 : isTree(value)) return true;
  const usual = get(DEFAULT_CONFIGURATION, path);
  if (value === usual) return true;
  const [one, other] = [parseDuration(String(value)), parseDuration(String(usual))];
  return one !== undefined && (one === 0 || one === other);
}

function complete(
  merged: Partial<KubeProxyConfiguration>,
  addresses: Tree,
  replaceKubeProxy: boolean | undefined,
): Tree {
  const { replaceKubeProxy: _, ...fields } = merged;
  const tree: Tree = structuredClone(DEFAULT_CONFIGURATION);
  for (const [path, value] of leaves(fields)) {
    const unset = value === '' || (isDuration(path) && parseDuration(String(value)) === 0);
    const zeroed = value === 0 && path.startsWith('clientConnection.');
    if (!unset && !zeroed) put(tree, path, value);
  }
  for (const [path, value] of leaves(addresses)) put(tree, path, value);
  if (replaceKubeProxy !== undefined) tree.replaceKubeProxy = replaceKubeProxy;
  return tree;
}

function isDuration(path: string): boolean {
  const usual = get(DEFAULT_CONFIGURATION, path);
  return typeof usual === 'string' && usual !== '' && parseDuration(usual) !== undefined;
}

export { boolFlag };
