import { existsSync, readdirSync, readFileSync, readlinkSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ADDRESS_F_NODE_PORTS } from '../abi/index.js';
import { classifyDevices, type Device, type LinkFacts } from '../agent/devices.js';
import { findCgroup2, readSysctl } from '../agent/features.js';
import { hasConntrackLookup } from '../agent/missing.js';
import { readListeners } from '../agent/node-ports/listeners.js';
import { openReadOnly } from '../datapath/index.js';
import {
  BpfLink,
  BpfProgram,
  type CgroupAttachName,
  isBpffs,
  monotonicNs,
  Netlink,
  nftChains,
  probeFeatures,
  queryCgroup,
  queryFilters,
  queryTcx,
  queryXdp,
  xdpFeatures,
} from '../native/index.js';
import type {
  ApiFacts,
  CgroupFacts,
  DeviceFacts,
  DeviceHookFacts,
  Facts,
  HookProgram,
  Intent,
} from './facts.js';
import { readHostPorts } from './host-ports.js';

const CGROUP2_MAGIC = 0x63677270;
const CAPABILITIES = { NET_ADMIN: 12n, SYS_ADMIN: 21n, PERFMON: 38n, BPF: 39n };
const SOCKET_HOOKS: CgroupAttachName[] = [
  'connect4',
  'connect6',
  'sendmsg4',
  'sendmsg6',
  'recvmsg4',
  'recvmsg6',
];
const SYSCTLS = [
  'net/ipv4/ip_forward',
  'net/ipv6/conf/all/forwarding',
  'net/ipv4/conf/all/rp_filter',
  'net/ipv4/ip_local_port_range',
  'net/ipv4/ip_local_reserved_ports',
  'net/bridge/bridge-nf-call-iptables',
];

/**
 * Looks at this machine, in the network namespace of the process. Changes nothing.
 * @param api what the API server answered, asked by the caller.
 */
export async function collectFacts(intent: Intent, api: Facts['api'] | undefined): Promise<Facts> {
  const features = probeFeatures();
  const host = await readHost();
  const devices = classifyDevices(
    { links: host.links, addresses: host.addresses, routes: host.routes, internalIPs: [] },
    { ignore: [], pod: [], uplink: [], overlay: [] },
  );
  const sysctls = Object.fromEntries(
    SYSCTLS.flatMap((name) => {
      const value = readSysctl(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const nft = attempt(() => ({ chains: nftChains() }));
  return {
    intent,
    features,
    conntrackLookup: hasConntrackLookup(),
    missingCapabilities: missingCapabilities(readFileSync('/proc/self/status', 'utf8')),
    bpffs: { mounted: isBpffs('/sys/fs/bpf'), pinPathOnIt: isBpffs(nearestDirectory(intent.pinPath)) },
    cgroup: readCgroup(intent.cgroupPath ?? findCgroup2(readFileSync('/proc/self/mounts', 'utf8'))),
    sysctls,
    hasIPv6: host.addresses.some(({ family, scope }) => family === 6 && scope === 0),
    links: host.links,
    devices: devices.map((device) => readDevice(device, features.tcx)),
    ownPrograms: ownPrograms(intent.pinPath),
    agent: readAgent(intent.pinPath),
    kubeProxy: {
      ...(await askProxyMode()),
      ...nft,
      legacyTables: readLines('/proc/net/ip_tables_names'),
      ipvsServices: readLines('/proc/net/ip_vs').filter((line) => /^(TCP|UDP|SCTP|FWM) /.test(line)).length,
    },
    nodePorts: {
      ...readNodePorts(intent.pinPath),
      listeners: readListeners(),
      hostPorts: readHostPorts(nft?.chains ?? []),
    },
    ...(api !== undefined && { api }),
  };
}

async function readHost() {
  const netlink = new Netlink({ events: [] });
  try {
    const links: LinkFacts[] = await netlink.dumpLinks();
    return { links, addresses: await netlink.dumpAddresses(), routes: await netlink.dumpRoutes() };
  } finally {
    netlink.close();
  }
}

/** @param status text of /proc/self/status. */
export function missingCapabilities(status: string): string[] {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  const has = (name: keyof typeof CAPABILITIES) => ((mask >> CAPABILITIES[name]) & 1n) === 1n;
  // SYS_ADMIN stands for both.
  const needed = has('SYS_ADMIN') ? (['NET_ADMIN'] as const) : (['NET_ADMIN', 'BPF', 'PERFMON'] as const);
  return needed.filter((name) => !has(name));
}

function nearestDirectory(path: string): string {
  let directory = path;
  while (!existsSync(directory) && directory !== '/') directory = dirname(directory);
  return directory;
}

function readCgroup(path: string | undefined): CgroupFacts {
  const isCgroup2 = path !== undefined && existsSync(path) && statfsSync(path).type === CGROUP2_MAGIC;
  if (!isCgroup2) return { path, isCgroup2, isRoot: false, programs: {} };
  const programs: CgroupFacts['programs'] = {};
  for (const hook of SOCKET_HOOKS) {
    const ids = attempt(() => queryCgroup(path, hook)) ?? [];
    if (ids.length > 0) programs[hook] = ids.map(describeProgram);
  }
  return { path, isCgroup2, isRoot: !existsSync(join(path, 'cgroup.type')), programs };
}

function describeProgram(progId: number): HookProgram {
  return (
    attempt(() => {
      using program = BpfProgram.openById(progId);
      return { progId, name: program.info.name };
    }) ?? { progId }
  );
}

function readDevice(device: Device, tcx: boolean): DeviceFacts {
  const { ifindex, name, kind } = device;
  const rpFilter = readSysctl(`net/ipv4/conf/${name}/rp_filter`);
  const driver = kind === undefined && device.class === 'uplink' ? driverOf(name) : undefined;
  const bits = device.class === 'uplink' ? attempt(() => xdpFeatures(ifindex)) : undefined;
  return {
    device,
    hooks: readHooks(ifindex, tcx),
    ...(rpFilter !== undefined && { rpFilter: Number(rpFilter) }),
    ...(driver !== undefined && { driver }),
    ...(bits !== undefined && { xdpFeatures: bits }),
  };
}

function driverOf(name: string): string | undefined {
  return attempt(() => basename(readlinkSync(`/sys/class/net/${name}/device/driver`)));
}

/** A device may go away meanwhile: then it has no programs. */
function readHooks(ifindex: number, tcx: boolean): DeviceHookFacts[] {
  const hooks: DeviceHookFacts[] = [];
  const add = (hook: DeviceHookFacts['hook'], programs: DeviceHookFacts['programs']) => {
    if (programs.length > 0) hooks.push({ hook, programs });
  };
  for (const direction of ['ingress', 'egress'] as const) {
    const links = tcx ? (attempt(() => queryTcx(ifindex, direction)) ?? []) : [];
    add(
      `tcx ${direction}`,
      links.map(({ progId }) => describeProgram(progId)),
    );
    const filters = attempt(() => queryFilters(ifindex, direction)) ?? [];
    // A u32 filter comes with its hash tables: one word for all.
    const kinds = new Set(filters.filter(({ progId }) => progId === undefined).map(({ kind }) => kind));
    add(`tc ${direction}`, [
      ...filters.flatMap(({ progId, name }) =>
        progId === undefined ? [] : [{ progId, ...(name !== undefined && { name }) }],
      ),
      ...[...kinds].map((kind) => ({ name: `filter ${kind}` })),
    ]);
  }
  const xdp = attempt(() => queryXdp(ifindex)) ?? { native: 0, generic: 0, hardware: 0 };
  for (const mode of ['native', 'generic', 'hardware'] as const) {
    add(`xdp ${mode}`, xdp[mode] === 0 ? [] : [describeProgram(xdp[mode])]);
  }
  return hooks;
}

function ownPrograms(pinPath: string): number[] {
  const directories = readdirOf(pinPath).filter((name) => /^v\d+$/.test(name));
  return directories.flatMap((version) => {
    const links = join(pinPath, version, 'links');
    return readdirOf(links).flatMap(
      (name) =>
        attempt(() => {
          using link = BpfLink.openPinned(join(links, name));
          return [link.info.progId];
        }) ?? [],
    );
  });
}

function readdirOf(path: string): string[] {
  return attempt(() => (statSync(path).isDirectory() ? readdirSync(path) : [])) ?? [];
}

function readAgent(pinPath: string): Facts['agent'] {
  if (readdirOf(pinPath).length === 0) return { pinned: false };
  return (
    attempt(() => {
      using datapath = openReadOnly({ pinPath });
      const seen = datapath.reader.config().agent_seen_ns;
      if (seen === 0n) return { pinned: true };
      return { pinned: true, lastSeenSeconds: Number(monotonicNs() - seen) / 1e9 };
    }) ?? { pinned: true }
  );
}

/** Those in the maps, and the addresses that they answer on. */
function readNodePorts(pinPath: string): Pick<Facts['nodePorts'], 'served' | 'addresses'> {
  const nothing = { served: [], addresses: [] };
  if (readdirOf(pinPath).length === 0) return nothing;
  return (
    attempt(() => {
      using datapath = openReadOnly({ pinPath });
      const { reader } = datapath;
      const served = reader
        .frontends()
        .filter(({ type }) => type === 'NodePort')
        .map(({ namespace, name, protocol, family, port }) => ({
          service: `${namespace}/${name}`,
          protocol,
          family,
          port,
        }));
      const addresses = [...reader.entries('lb_addresses')].map(([ip, { flags }]) => ({
        ip,
        nodePorts: (flags & ADDRESS_F_NODE_PORTS) !== 0,
      }));
      return { served, addresses: addresses.filter(({ nodePorts }) => nodePorts) };
    }) ?? nothing
  );
}

/** Shunt answers there too when it replaces kube-proxy, but says so in a header. */
async function askProxyMode(): Promise<{ proxyMode?: string }> {
  try {
    const answer = await fetch('http://127.0.0.1:10249/proxyMode', { signal: AbortSignal.timeout(1000) });
    const mode = (await answer.text()).trim();
    const isKubeProxy = answer.ok && /^[a-z]{1,16}$/.test(mode) && !answer.headers.has('x-shunt-mode');
    return isKubeProxy ? { proxyMode: mode } : {};
  } catch {
    return {};
  }
}

function readLines(path: string): string[] {
  return (attempt(() => readFileSync(path, 'utf8')) ?? '').split('\n').filter((line) => line !== '');
}

/** What cannot be read is absent from the facts; the checks say what they could not see. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

export type { ApiFacts };
