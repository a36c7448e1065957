/** kube-proxy in ipvs mode: a device with every Service address, ipsets, and virtual servers. */
import { TakeoverError } from './errors.js';
import type { Machine } from './machine.js';
import { IPVS_DEVICE, IPVS_SET } from './names.js';

export interface IpvsState {
  device: boolean;
  sets: string[];
  /** Arguments of `ipvsadm -D` for what is kube-proxy's. */
  servers: string[];
  /** Programs that removal needs and this machine lacks. */
  missing: string[];
}

/** Members of ipsets whose virtual servers are on addresses of the node itself. */
const NODE_PORT_SETS = /^add KUBE-NODE-PORT-\S+ (\S+)/gm;

export async function readIpvs(machine: Machine): Promise<IpvsState> {
  const links = await machine.links();
  const link = links.find(({ name }) => name === IPVS_DEVICE);
  const state: IpvsState = { device: link !== undefined, sets: [], servers: [], missing: [] };
  const list = await machine.run(['ipset', 'list', '-n']);
  if (list?.code === 0) state.sets = list.stdout.split('\n').filter((name) => IPVS_SET.test(name));
  if (!list && state.device) state.missing.push('ipset');
  if (!state.device) return state;
  const saved = await machine.run(['ipvsadm-save', '-n']);
  if (!saved) state.missing.push('ipvsadm');
  else if (saved.code === 0) state.servers = await ownServers(machine, saved.stdout);
  return state;
}

/** Servers on addresses of kube-ipvs0, or on ports that kube-proxy's sets list as NodePorts. */
async function ownServers(machine: Machine, saved: string): Promise<string[]> {
  const addresses = await machine.run(['ip', '-o', 'addr', 'show', 'dev', IPVS_DEVICE]);
  const own = new Set(
    [...(addresses?.stdout ?? '').matchAll(/inet6? ([^/\s]+)/g)].map((m) => m[1] as string),
  );
  const sets = await machine.run(['ipset', 'save']);
  const nodePorts = new Set<string>();
  for (const match of (sets?.stdout ?? '').matchAll(NODE_PORT_SETS)) {
    nodePorts.add(String(/(\d+)$/.exec(match[1] as string)?.[1]));
  }
  return parseServers(saved, (ip, port) => own.has(ip) || nodePorts.has(port));
}

/** `ipvsadm-save -n`: `-A -t 10.96.0.1:443 -s rr`, IPv6 in brackets. */
export function parseServers(saved: string, isOwn: (ip: string, port: string) => boolean): string[] {
  const servers: string[] = [];
  for (const line of saved.split('\n')) {
    const match = /^-A (-t|-u|--sctp-service) \[?([0-9a-fA-F.:]+?)\]?:(\d+)(?: |$)/.exec(line);
    if (match && isOwn(match[2] as string, match[3] as string)) {
      servers.push(`${match[1]} ${/^-A \S+ (\S+)/.exec(line)?.[1]}`);
    }
  }
  return servers;
}

/** Virtual servers, then the device with their addresses, then the sets that no rule uses any more. */
export async function removeIpvs(machine: Machine, state: IpvsState): Promise<void> {
  for (const server of state.servers) await must(machine, ['ipvsadm', '-D', ...server.split(' ')]);
  if (state.device) await must(machine, ['ip', 'link', 'del', IPVS_DEVICE]);
  for (const set of state.sets) await must(machine, ['ipset', 'destroy', set]);
}

async function must(machine: Machine, argv: string[]): Promise<void> {
  const output = await machine.run(argv);
  if (output?.code === 0) return;
  const says = output
    ? `'${output.stderr.trim()}' (exit code ${output.code})`
    : 'nothing: it is not installed (ENOENT)';
  throw new TakeoverError(
    'EIO',
    `remove ipvs state: ${argv.join(' ')} says ${says}. run 'shunt takeover --check' to see what is left`,
  );
}
