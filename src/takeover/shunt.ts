/** What takeover needs to know of Shunt, and may do to it. */
import type { OldFlow, OwnTuple } from './conntrack.js';
import type { FamilyPort } from './rules.js';

export interface ShuntState {
  pinPath: string;
  /** Since the agent's last heartbeat; null: there was never one. */
  agentSeenSeconds: number | null;
  /** Hooks that are attached. */
  hooks: number;
  /** It begins no flows. */
  draining: boolean;
  /** The first packets of connections that it does not know are left to the stack. */
  takingOver: boolean;
  /** Its own live flows. */
  flows: { tcp: number; udp: number; sctp: number };
  /** Source ports of this node that its live flows use towards endpoints, unknown to nf_conntrack. */
  ownTuples: OwnTuple[];
  /** Addresses of endpoints. */
  endpoints: string[];
  /** Service ports that have endpoints. */
  ports: FamilyPort[];
  serves(port: FamilyPort): boolean;
  isService(flow: OldFlow): boolean;
}

export interface ShuntControl {
  /** undefined: nothing is pinned. */
  look(): Promise<ShuntState | undefined>;
  /** 0 ends it. */
  setTakeover(seconds: number): Promise<void>;
  setDrain(drain: boolean): Promise<void>;
  /**
   * As a drain, and UDP goes to the other load balancer with the next datagram, while answers are restored.
   * @returns why not, when an agent still runs.
   */
  handOver(): Promise<string | undefined>;
  /** Takes every program and map away. @returns why not, when an agent still runs. */
  cleanUp(): Promise<{ removed: number; problems: string[] } | string>;
}

export const ALIVE_WITHIN_S = 10;

export function isAlive(state: ShuntState): boolean {
  return state.agentSeenSeconds !== null && state.agentSeenSeconds <= ALIVE_WITHIN_S;
}
