/** Who talks to whom in the packet bench, through which programs, and how a flow gets established. */
import type { BpfProgram } from '../../src/native/index.js';
import { type Hook, type Place, sendOnce } from './driver.js';
import { answerTo, type Bytes, buildFrame, type Flow, type FrameSpec, readFlow } from './frames.js';
import { DEVICES, type DeviceName } from './network.js';
import type { BenchWorld, ProgramName } from './world.js';

/** A hook on a device. */
export interface Stop {
  program: ProgramName;
  on: DeviceName;
  /** tc egress: where the packet came in; left out at ingress. */
  cameBy?: DeviceName;
}

export function hookOf(stop: Stop): Hook {
  return stop.program.startsWith('xdp') ? 'xdp' : 'tc';
}

export function placeOf(stop: Stop): Place {
  return { ifindex: DEVICES[stop.on].ifindex, cameBy: DEVICES[stop.cameBy ?? stop.on].ifindex };
}

/** Both directions of a connection: the hook that translates, and the one that restores. */
export interface Route {
  forward: Stop;
  back: Stop;
}

export const ROUTES = {
  podToRemote: {
    forward: { program: 'tc_pod_in', on: 'pod1' },
    back: { program: 'tc_pod_out', on: 'pod1', cameBy: 'uplink' },
  },
  outsideToRemoteTc: {
    forward: { program: 'tc_uplink_in', on: 'uplink' },
    back: { program: 'tc_uplink_in', on: 'uplink' },
  },
  outsideToRemoteXdp: {
    forward: { program: 'xdp_uplink', on: 'uplink' },
    back: { program: 'xdp_uplink', on: 'uplink' },
  },
  outsideToLocal: {
    forward: { program: 'tc_uplink_in', on: 'uplink' },
    back: { program: 'tc_uplink_out', on: 'uplink', cameBy: 'pod2' },
  },
} as const satisfies Record<string, Route>;

type Shape = Pick<FrameSpec, 'flags' | 'seq' | 'ack' | 'payload' | 'options'>;

/** A frame as it arrives at a hook. */
export function frameAt(stop: Stop, flow: Flow, shape: Shape = {}): Bytes {
  const d = DEVICES[stop.on];
  const arrives = stop.program !== 'tc_pod_out' && stop.program !== 'tc_uplink_out';
  return buildFrame({
    ...flow,
    dstMac: arrives ? d.mac : d.peerMac,
    srcMac: arrives ? d.peerMac : d.mac,
    ...(flow.protocol === 'udp' ? { payload: 18 } : {}),
    ...shape,
  });
}

export interface Established {
  /** A packet of each direction, as it arrives at the hook that translates it. */
  request: Bytes;
  reply: Bytes;
}

const CLIENT_SEQ = 1000;
const SERVER_SEQ = 5000;

/** Sends what it takes to make a flow established, and returns its later packets. */
export function establish(world: BenchWorld, route: Route, flow: Flow): Established {
  const send = (stop: Stop, frame: Bytes) =>
    sendOnce(programOf(world, stop), hookOf(stop), placeOf(stop), frame);
  const first = { flags: 'S', seq: CLIENT_SEQ };
  const answer = answerTo(readFlow(send(route.forward, frameAt(route.forward, flow, first))));
  send(route.back, frameAt(route.back, answer, { flags: 'SA', seq: SERVER_SEQ, ack: CLIENT_SEQ + 1 }));
  const request = frameAt(route.forward, flow, { flags: 'A', seq: CLIENT_SEQ + 1, ack: SERVER_SEQ + 1 });
  send(route.forward, request);
  const reply = frameAt(route.back, answer, { flags: 'A', seq: SERVER_SEQ + 1, ack: CLIENT_SEQ + 1 });
  send(route.back, reply);
  return { request, reply };
}

export function programOf(world: BenchWorld, stop: Stop): BpfProgram {
  return world.object.program(stop.program);
}
