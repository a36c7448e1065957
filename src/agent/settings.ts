import { randomInt } from 'node:crypto';
import {
  type LbSettings,
  SETTING_CLUSTER_CIDRS,
  SETTING_HOST_ROUTING_STACK,
  SETTING_MASQUERADE_ALL,
  SETTING_MASQUERADE_EXTERNAL,
  SETTING_SERVICE_CIDRS,
  SETTING_SOCK_ALL,
  SETTING_SOCK_UDP_CONNECT,
} from '../abi/index.js';
import type { AgentOptions } from './options.js';

/** RST and ICMP unreachable made per second and CPU; beyond it a refusal is a counted drop. */
const REFUSALS_PER_S = 1000;

/** Constants of the programs. @param netnsCookie of this node's network namespace. */
export function settingsOf(options: AgentOptions, netnsCookie: bigint): LbSettings {
  const flags: [boolean, number][] = [
    [options.externalSource === 'masquerade', SETTING_MASQUERADE_EXTERNAL],
    [options.masqueradeAll, SETTING_MASQUERADE_ALL],
    [options.hostRouting === 'stack', SETTING_HOST_ROUTING_STACK],
    [options.socketLbUdpConnect, SETTING_SOCK_UDP_CONNECT],
    [options.socketLb === 'all', SETTING_SOCK_ALL],
    [options.clusterCIDRs.length > 0, SETTING_CLUSTER_CIDRS],
    // Ranges may be learned at any time, and beside another proxy there are none.
    [options.replaceKubeProxy, SETTING_SERVICE_CIDRS],
  ];
  return {
    host_netns_cookie: netnsCookie,
    flags: flags.reduce((sum, [on, flag]) => sum | (on ? flag : 0), 0),
    event_sample: options.eventSample,
    snat_port_min: options.snatPortRange.min,
    snat_port_max: options.snatPortRange.max,
    hairpin4: options.hairpinAddress4,
    hairpin6: options.hairpinAddress6,
    refusals_per_s: REFUSALS_PER_S,
    // Nobody outside may guess SNAT ports and choices.
    hash_seed: randomInt(2 ** 32),
  };
}
