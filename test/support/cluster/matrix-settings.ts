/** The settings that the matrix is run in: a selection for every test run, and the whole product. */
import type { BoxMode, NetfilterPreset } from '../../../box/index.js';
import { PLAIN, type Setting } from './matrix.js';

const EVERYTHING: NetfilterPreset[] = ['conntrack', 'invalidDrop', 'masquerade', 'forwardDrop'];

function setting(difference: Partial<Setting>): Setting {
  return { ...PLAIN, ...difference };
}

/** Every value of every dimension at least once, and the pairs that have been seen to matter. */
export const SELECTED: Setting[] = [
  // How pods are connected.
  setting({ mode: 'bridge', bridgeNfCallIptables: 0 }),
  setting({ mode: 'vxlan' }),
  setting({ mode: 'flannel', rpFilter: 0 }),
  setting({ mode: 'tunnel' }),
  // Netfilter, each preset on top of the one before, with every rp_filter.
  setting({ netfilter: ['conntrack'], rpFilter: 1 }),
  setting({ netfilter: ['conntrack', 'invalidDrop'], rpFilter: 0 }),
  setting({ netfilter: ['masquerade'], rpFilter: 1 }),
  setting({ netfilter: ['forwardDrop'] }),
  setting({ mode: 'bridge', netfilter: EVERYTHING, bridgeNfCallIptables: 1, rpFilter: 1 }),
  setting({ mode: 'flannel', netfilter: EVERYTHING, bridgeNfCallIptables: 0, rpFilter: 1 }),
  setting({ mode: 'vxlan', netfilter: EVERYTHING }),
  setting({ mode: 'tunnel', netfilter: EVERYTHING }),
  // Through the stack, with SNAT at egress.
  setting({ hostRouting: 'stack', rpFilter: 1 }),
  setting({ mode: 'vxlan', hostRouting: 'stack', netfilter: EVERYTHING }),
  setting({ mode: 'tunnel', hostRouting: 'stack' }),
  setting({ externalSource: 'masquerade', netfilter: ['conntrack', 'invalidDrop'] }),
  setting({ mode: 'flannel', externalSource: 'masquerade', masqueradeAll: true }),
  setting({ masqueradeAll: true }),
  setting({
    mode: 'bridge',
    hostRouting: 'stack',
    externalSource: 'masquerade',
    masqueradeAll: true,
    netfilter: EVERYTHING,
  }),
];

const MODES: BoxMode[] = ['routed', 'bridge', 'vxlan', 'flannel', 'tunnel'];
const PRESETS: NetfilterPreset[][] = [
  [],
  ['conntrack'],
  ['conntrack', 'invalidDrop'],
  ['masquerade'],
  ['forwardDrop'],
  EVERYTHING,
];

/** What a node can be: 120 kinds. */
const NODES: Setting[] = MODES.flatMap((mode) =>
  PRESETS.flatMap((netfilter) =>
    ([0, 1, 2] as const).flatMap((rpFilter) =>
      bridgeChoices(mode, netfilter).map((bridgeNfCallIptables) =>
        setting({ mode, netfilter, rpFilter, bridgeNfCallIptables }),
      ),
    ),
  ),
);

/** Without a bridge, or without rules, the switch has nothing to act on. */
function bridgeChoices(mode: BoxMode, netfilter: NetfilterPreset[]): (0 | 1)[] {
  const hasBridge = mode === 'bridge' || mode === 'flannel';
  return hasBridge && netfilter.length > 0 ? [0, 1] : [1];
}

const FLAGS: Partial<Setting>[] = [
  {},
  { hostRouting: 'stack' },
  { externalSource: 'masquerade', masqueradeAll: true },
  { hostRouting: 'stack', externalSource: 'masquerade', masqueradeAll: true },
];

/** Every kind of node with every way of the agents, and XDP on every kind whose uplink it can send to. */
export const PRODUCT: Setting[] = [
  ...FLAGS.flatMap((flags) => NODES.map((node) => ({ ...node, ...flags }))),
  ...NODES.map((node) => ({ ...node, xdp: 'force' as const })),
];
