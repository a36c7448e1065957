// Short ways to write steps of packet tables.
import { build, withoutEthernet } from './build.js';
import { DEVICES, type DeviceName, NODE2 } from './netns.js';
import type { Ethernet, Packet } from './spec.js';
import type { Step } from './table.js';
import type { Counters } from './world.js';

type Rest = Omit<Step, 'program' | 'on'> & { on?: DeviceName };

/** A pod sends; by default that of device pod1. */
export const podSends = (o: Rest): Step => ({ on: 'pod1', ...o, program: 'tc_pod_in' });
/** A pod is about to receive; by default that of device pod1. */
export const podGets = (o: Rest): Step => ({ on: 'pod1', cameBy: 'pod2', ...o, program: 'tc_pod_out' });
/** From the wire, on the uplink by default. */
export const wireSends = (o: Rest): Step => ({ on: 'uplink', ...o, program: 'tc_uplink_in' });
/** To the wire, on the uplink by default, from a local pod. */
export const wireGets = (o: Rest): Step => ({ on: 'uplink', cameBy: 'pod1', ...o, program: 'tc_uplink_out' });
/** To the wire, from a socket of this node. */
export const nodeSends = (o: Rest): Step => ({ on: 'uplink', ...o, program: 'tc_uplink_out' });
/** From the wire, seen by XDP. */
export const xdpGets = (o: Rest): Step => ({ on: 'uplink', ...o, program: 'xdp_uplink' });

/** Length of the IP packet: what byte counters count. */
export const l3 = (p: Packet): number => {
  const { trailer: _padding, ...rest } = p;
  return build(withoutEthernet(rest)).length;
};

/** Counted for a service by its first packet, by a further one, by a reply. */
export const first = (p: Packet, id = 1): Counters['services'] => ({
  [id]: { new_flows: 1, packets: 1, bytes: l3(p) },
});
export const more = (p: Packet, id = 1): Counters['services'] => ({ [id]: { packets: 1, bytes: l3(p) } });
export const answer = (p: Packet, id = 1): Counters['services'] => ({
  [id]: { reply_packets: 1, reply_bytes: l3(p) },
});

/** Ethernet addresses of a frame sent out by a device whose next hop is known. */
export const via = (device: DeviceName): Ethernet => ({
  dst: DEVICES[device].peerMac,
  src: DEVICES[device].mac,
});
export const viaNode2: Ethernet = { dst: NODE2.mac, src: DEVICES.uplink.mac };
