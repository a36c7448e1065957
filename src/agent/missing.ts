import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Features } from '../native/index.js';

type Optional = 'tcx' | 'cgroupLink' | 'xdpLink' | 'batch' | 'netnsCookie' | 'membarrier' | 'conntrackLookup';

export interface MissingFeature {
  name: Optional;
  isHarmless: boolean;
  /** What follows. */
  consequence: string;
  wayOut: string;
}

const since = (version: string) => `use a kernel that has it (${version})`;

/** The agent goes on without these. Nobody shall find that out by himself: doctor, the log and a metric say it. */
const OPTIONAL: Record<Optional, Omit<MissingFeature, 'name'>> = {
  cgroupLink: {
    isHarmless: false,
    consequence: "connections of this node's own processes are translated by tc only",
    wayOut: since('Linux 5.7'),
  },
  tcx: {
    isHarmless: true,
    consequence: 'tc programs hang on clsact filters, which others can remove or run before',
    wayOut: since('Linux 6.6'),
  },
  xdpLink: {
    isHarmless: false,
    consequence: 'XDP is not used: everything is done by tc',
    wayOut: since('Linux 5.9'),
  },
  batch: {
    isHarmless: true,
    consequence: 'dumps and sweeps of large tables take one call per entry',
    wayOut: since('Linux 5.6'),
  },
  netnsCookie: {
    isHarmless: false,
    consequence: "sockets of pods cannot be told from the node's own",
    wayOut: since('Linux 5.14'),
  },
  membarrier: {
    isHarmless: true,
    consequence: 'the wait before ids are used again goes through a map of maps: as safe, a little slower',
    wayOut: '',
  },
  conntrackLookup: {
    isHarmless: false,
    consequence:
      'nf_conntrack cannot be asked: connections that kube-proxy has begun break when Shunt begins to serve, and a port may be used by a MASQUERADE rule and by Shunt at once',
    wayOut:
      'load nf_conntrack before the agent starts; where the kernel has no bpf_skb_ct_lookup (CONFIG_DEBUG_INFO_BTF_MODULES), start it with --takeover-window 86400',
  },
};

export function missingFeatures(
  features: Pick<Features, Exclude<Optional, 'conntrackLookup'>>,
  conntrackLookup: boolean,
): MissingFeature[] {
  const has = { ...features, conntrackLookup };
  return (Object.keys(OPTIONAL) as Optional[])
    .filter((name) => !has[name])
    .map((name) => ({ name, ...OPTIONAL[name] }));
}

const LOOKUPS = ['bpf_skb_ct_lookup', 'bpf_xdp_ct_lookup', 'bpf_ct_release'];

/**
 * Will the programs be able to ask nf_conntrack? Its functions are resolved when they are loaded, from the types of
 * the kernel, or of the module if it is loaded by then.
 */
export function hasConntrackLookup(directory = '/sys/kernel/btf'): boolean {
  return ['nf_conntrack', 'vmlinux'].some((file) => {
    try {
      const types = readFileSync(join(directory, file));
      return LOOKUPS.every((name) => types.includes(`\0${name}\0`));
    } catch {
      return false;
    }
  });
}
