// The reference of the data path: what a service world is made of, in the words of SEMANTICS.md.
import type { Bytes } from '../packet/index.js';
import type { DeviceName } from '../packet/netns.js';

/** A packet's addresses and ports, as text and host order. */
export interface Ends {
  src: string;
  sport: number;
  dst: string;
  dport: number;
}

export const endsKey = (proto: number, e: Ends): string => `${proto} ${e.src} ${e.sport} ${e.dst} ${e.dport}`;
/** The same path walked back. */
export const mirror = (e: Ends): Ends => ({ src: e.dst, sport: e.dport, dst: e.src, dport: e.sport });

export type Condition = 'ready' | 'terminating' | 'unready' | 'gone';

export interface Backend {
  id: number;
  generation: number;
  ip: string;
  port: number;
  /** terminating: still serving; unready: neither ready nor serving; gone: removed. */
  condition: Condition;
  /** On this node. */
  local: boolean;
}

/** The backends of one traffic policy: the slots that new flows are spread over. */
export interface Scope {
  slots: Backend[];
  whenEmpty: 'reject' | 'drop';
}

export type FrontType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalIP';

export interface Front {
  type: FrontType;
  /** '*' for a NodePort. */
  ip: string;
  port: number;
  /** loadBalancerSourceRanges; undefined: open. */
  ranges: string[] | undefined;
  nodeAllowed: boolean;
}

export interface Service {
  id: number;
  family: 4 | 6;
  proto: number;
  fronts: Front[];
  backends: Backend[];
  internalLocal: boolean;
  externalLocal: boolean;
  /** Seconds. */
  affinity: number | undefined;
  maglev: boolean;
  exists: boolean;
}

export interface Settings {
  masqueradeExternal: boolean;
  masqueradeAll: boolean;
  throughStack: boolean;
  clusterCidrs: boolean;
  serviceCidrs: boolean;
  socketsOfPods: boolean;
  socketUdpConnect: boolean;
  snatPorts: [number, number];
  hairpin: { 4: string; 6: string };
  hostNetns: bigint;
  hashSeed: number;
  /** Entries of the table of established flows. */
  establishedMax: number;
}

export interface Input {
  hook: 'tc_pod_in' | 'tc_pod_out' | 'tc_uplink_in' | 'tc_uplink_out' | 'xdp_uplink';
  on: DeviceName;
  /** tc egress: the device that it came in by; undefined: a socket of this node sent it. */
  cameBy?: DeviceName;
  frame: Bytes;
}

export interface Prediction {
  verdict: 'TCX_NEXT' | 'TC_ACT_SHOT' | 'TC_ACT_REDIRECT' | 'XDP_PASS' | 'XDP_TX' | 'XDP_REDIRECT';
  /** Left out when the packet is dropped. */
  out?: Bytes;
  /** Counters that go up by one; names without prefix. */
  drops: string[];
  paths: string[];
}

export interface SocketRequest {
  hook: 'connect' | 'sendmsg' | 'recvmsg';
  proto: number;
  ip: string;
  port: number;
  netns: bigint;
  cookie: bigint;
}

export interface SocketPrediction {
  allowed: boolean;
  /** One of these; where there are several, chance decides and follow() is told which. */
  to: { ip: string; port: number }[];
  paths: string[];
  follow(to: { ip: string; port: number }): void;
  /** Chance may also leave the request as it is. */
  maybe?: true;
  /** Told when it was left as it is. */
  unchanged?(): void;
}
