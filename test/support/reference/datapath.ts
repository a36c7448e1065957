// What every hook must do with a packet, by ARCHITECTURE section 1. Structured by connections and not by
// map entries; shares no code with the data path.
import type { DeviceName } from '../packet/netns.js';
import { PROTOCOL } from '../packet/spec.js';
import {
  begin,
  CLUSTER_CIDRS,
  clientSide,
  type Environment,
  hopOf,
  isOpening,
  type Origin,
  SERVICE_CIDRS,
  sameEnds,
  xdpReaches,
} from './create.js';
import { type Conn, type Direction, isClosing, isRestoredAtIngress } from './flows.js';
import {
  echoReply,
  icmpAnswer,
  readdressed,
  readdressedError,
  reset,
  swappedMacs,
  withMacs,
  withTtl,
} from './rewrite.js';
import { contains, routeTo } from './routes.js';
import { listOf } from './scopes.js';
import { type Ends, type Input, mirror, type Prediction } from './types.js';
import { look, quoteOf, type View } from './view.js';

export { CLUSTER_CIDRS, SERVICE_CIDRS };

const SCTP_INIT = 1;

type Outcome = Omit<Prediction, 'drops' | 'paths'>;

/** Nobody answers a connection that has ended with a SYN-ACK: its port has a new owner. */
function isAnothersReply(v: View, reply: Conn): boolean {
  return (
    v.proto === PROTOCOL.tcp &&
    v.flags.includes('S') &&
    v.flags.includes('A') &&
    reply.established &&
    isClosing(reply)
  );
}
export class ReferenceDatapath {
  readonly env: Environment;
  /** First fragments' ports, and when they were seen. */
  readonly #fragments = new Map<string, { at: number; sport: number; dport: number }>();
  #drops: string[] = [];
  #paths: string[] = [];

  constructor(env: Environment) {
    this.env = env;
  }

  predict(input: Input): Prediction {
    this.#drops = [];
    this.#paths = [];
    const result = this.#run(input);
    return { ...result, drops: this.#drops, paths: this.#paths };
  }

  #run({ hook, on, frame, cameBy }: Input): Outcome {
    const v = look(frame);
    if (hook === 'xdp_uplink') return v ? this.#xdp(v, on) : { verdict: 'XDP_PASS', out: frame };
    if (!v) return { verdict: 'TCX_NEXT', out: frame };
    const fromSocket = cameBy === undefined;
    if (v.kind === 'icmp') return this.#icmp(v, hook, fromSocket);
    if (hook === 'tc_pod_in') return this.#client(v, 'pod', on);
    if (hook === 'tc_uplink_in') return this.#client(v, 'wire', on);
    const reply = this.#towardsClient(v);
    if (reply) return reply;
    if (hook === 'tc_uplink_out' && fromSocket) return this.#client(v, 'node', on);
    return this.#pass(v);
  }

  #pass(v: View, out = v.frame): Outcome {
    return { verdict: 'TCX_NEXT', out };
  }

  #drop(reason: string): Outcome {
    this.#drops.push(reason);
    return { verdict: 'TC_ACT_SHOT' };
  }

  #redirect(path: string, out: Uint8Array): Outcome {
    this.#paths.push(path);
    return { verdict: 'TC_ACT_REDIRECT', out };
  }

  /** A later fragment gets the ports of its first. False: that was not seen within a second. */
  #findPorts(v: View): boolean {
    if (v.kind !== 'later-fragment') return true;
    const known = this.#fragments.get(fragmentKey(v));
    if (!known || this.env.flows.now - known.at > 1) return false;
    v.ends.sport = known.sport;
    v.ends.dport = known.dport;
    return true;
  }

  #rememberFragment(v: View): void {
    if (!v.firstFragment) return;
    const { sport, dport } = v.ends;
    this.#fragments.set(fragmentKey(v), { at: this.env.flows.now, sport, dport });
  }

  /** What a client sends, and replies that are restored where they arrive. */
  #client(v: View, origin: Origin, on: DeviceName): Outcome {
    const { flows, chooser, settings } = this.env;
    const address = chooser.address(v.ends.dst);
    if (!this.#findPorts(v)) {
      // While another proxy's connections live on, it may have seen the first.
      const ours = address && !address.node && !this.env.takeover;
      return ours ? this.#drop('FRAGMENT_UNKNOWN') : this.#pass(v);
    }
    let conn = flows.find('front', v.proto, v.ends);
    if (!conn?.established) {
      if (!address) {
        if (settings.serviceCidrs && SERVICE_CIDRS.some((c) => contains(c, v.ends.dst))) {
          return this.#drop('UNKNOWN_SERVICE_IP');
        }
        if (origin !== 'pod' || !Object.values(settings.hairpin).includes(v.ends.dst)) return this.#pass(v);
      }
      if (origin !== 'node' && (!address || address.node)) {
        const reply = flows.findReply(v.proto, v.ends);
        const isHere = origin === 'wire' || reply?.way !== 'past';
        if (reply && isHere && isRestoredAtIngress(reply) && (reply.role !== 'middle' || reply.used)) {
          if (!address || !isAnothersReply(v, reply)) return this.#restore(v, reply);
          flows.remove(reply);
          return this.#pass(v);
        }
      }
    }
    if (conn && conn.from !== clientSide(origin, on)) {
      const opens =
        v.proto === PROTOCOL.tcp ? isOpening(v) : v.proto === PROTOCOL.udp || v.chunk === SCTP_INIT;
      if (!opens || conn.established || flows.now - conn.seen <= 2) return this.#pass(v);
      flows.remove(conn);
      conn = undefined;
    }
    if (conn && this.#isOver(conn, v)) {
      flows.remove(conn);
      conn = undefined;
    }
    if (conn) {
      if (flows.endsHandshake(conn, v) && !flows.establish(conn, v)) {
        this.#drops.push('FLOW_TABLE_FULL');
        return this.#refuse(v);
      }
      flows.touch(conn, 'original', v);
      return this.#forward(v, conn);
    }
    if (!address || (origin !== 'node' && address.loopback) || v.kind === 'later-fragment') {
      return this.#pass(v);
    }
    const begun = begin(this.env, v, origin, on);
    if (begun.what === 'flow') return this.#forward(v, begun.conn, true);
    if (begun.what === 'refuse') return this.#refuse(v);
    if (begun.what === 'drop') return this.#drop(begun.reason);
    this.#rememberFragment(v);
    return this.#pass(v);
  }

  /** Does this packet of the client begin something new? */
  #isOver(conn: Conn, v: View): boolean {
    const gone = conn.generation !== conn.backend.generation || conn.backend.condition === 'gone';
    if (conn.proto === PROTOCOL.tcp) return isOpening(v) && (isClosing(conn) || gone);
    if (conn.proto === PROTOCOL.sctp && v.chunk !== SCTP_INIT) return false;
    if (this.env.flows.isExpired(conn)) return true;
    const serves = !gone && (conn.backend.condition === 'ready' || conn.backend.condition === 'terminating');
    return !serves && this.#isServedElsewhere(conn);
  }

  #isServedElsewhere(conn: Conn): boolean {
    // Where the first pair leads, the second follows.
    if (conn.role === 'middle') return false;
    const { chooser } = this.env;
    const target = chooser.frontend(conn.arrives.dst, conn.arrives.dport, conn.proto);
    if (!target) return true;
    const { service, front } = target;
    const local = front.type === 'ClusterIP' ? service.internalLocal : conn.external && service.externalLocal;
    return listOf(service, local).length > 0;
  }

  #refuse(v: View, mtu?: number): Outcome {
    if (v.kind === 'later-fragment' || v.flags.includes('R')) return this.#drop('REFUSAL_FAILED');
    const asReset = v.proto === PROTOCOL.tcp && mtu === undefined;
    const out = asReset && v.plain ? reset(v) : icmpAnswer(v, mtu);
    return out ? this.#redirect('REFUSED', out) : this.#drop('REFUSAL_FAILED');
  }

  /** isFirst: nothing that it finds out is kept, the entry is made already. */
  #forward(v: View, conn: Conn, isFirst = false): Outcome {
    if (needsNewSctpPorts(v, conn.leaves)) return this.#drop('SCTP_FRAGMENT');
    this.#rememberFragment(v);
    if (conn.way === 'past') return this.#sendOut(v, conn, 'original', 'REMOTE_TC', isFirst);
    if (conn.way === 'node') return this.#sendOut(v, conn, 'original', 'NODE_EGRESS', isFirst);
    const out = readdressed(v, conn.leaves);
    if (conn.way === 'hairpin') return this.#redirect('HAIRPIN', swappedMacs(out));
    this.#paths.push('LOCAL');
    return this.#pass(v, out);
  }

  #restore(v: View, conn: Conn): Outcome {
    const to = mirror(conn.arrives);
    if (needsNewSctpPorts(v, to)) return this.#drop('SCTP_FRAGMENT');
    this.env.flows.touch(conn, 'reply', v);
    this.env.flows.noteAnswer(conn, v);
    this.#rememberFragment(v);
    if (conn.way === 'past') return this.#sendOut(v, conn, 'reply', 'REPLY_TC');
    const out = readdressed(v, to);
    if (conn.way === 'hairpin') return this.#redirect('HAIRPIN', swappedMacs(out));
    this.#paths.push({ middle: 'MIDDLE_REPLY', node: 'NODE_REPLY', local: 'REPLY_EGRESS' }[conn.way]);
    return this.#pass(v, out);
  }

  /** Wholly translated and out by the route of the far end. */
  #sendOut(v: View, conn: Conn, d: Direction, path: string, isFirst = false): Outcome {
    const to = d === 'original' ? conn.leaves : mirror(conn.arrives);
    let hop = conn.hops[d];
    const cached = hop && this.#isFresh(hop) ? hop : undefined;
    let mtu = cached?.mtu;
    if (!cached) {
      const route = routeTo(to.dst);
      if (route.kind !== 'via') return this.#drop('NO_ROUTE');
      mtu = route.mtu;
      hop = hopOf(this.env, route);
      if (hop && !isFirst) conn.hops[d] = hop;
    }
    if (mtu !== undefined && v.end - 14 > mtu) return this.#refuse(v, mtu);
    const forwards = conn.way === 'past';
    if (forwards && v.ttl <= 1) return this.#drop('TTL');
    let out = readdressed(v, to);
    if (forwards) out = withTtl(out, v.family, v.ttl - 1);
    return this.#redirect(path, cached ? withMacs(out, cached.macs) : out);
  }

  #isFresh(hop: { at: number; generation: number }): boolean {
    return hop.generation === this.env.fibGeneration && this.env.flows.now - hop.at < 1;
  }

  /** At egress: a reply of a backend here, or the second half of a way through the stack. */
  #towardsClient(v: View): Outcome | undefined {
    const { flows, settings } = this.env;
    if (!this.#findPorts(v)) return;
    const reply = flows.findReply(v.proto, v.ends);
    if (reply && !isRestoredAtIngress(reply)) return this.#restore(v, reply);
    if (!settings.throughStack && !settings.masqueradeAll && !settings.masqueradeExternal) return;
    const conn = flows.find('middle', v.proto, v.ends);
    if (!conn) return;
    // Left over from an earlier connection: what begins now without SNAT has none of its own.
    if (this.#isOver(conn, v)) {
      flows.remove(conn);
      return;
    }
    if (flows.endsHandshake(conn, v) && !flows.establish(conn, v)) return this.#drop('FLOW_TABLE_FULL');
    conn.used = true;
    flows.touch(conn, 'original', v);
    if (needsNewSctpPorts(v, conn.leaves)) return this.#drop('SCTP_FRAGMENT');
    this.#rememberFragment(v);
    this.#paths.push('MIDDLE');
    return this.#pass(v, readdressed(v, conn.leaves));
  }

  #icmp(v: View, hook: string, fromSocket: boolean): Outcome {
    const { flows, chooser } = this.env;
    const egress = hook.endsWith('_out');
    const request = v.family === 4 ? 8 : 128;
    if ((!egress || fromSocket) && v.frame[v.l4] === request && v.frame[v.l4 + 1] === 0) {
      if (chooser.address(v.ends.dst)?.echo) return this.#redirect('ECHO', echoReply(v));
    }
    const quote = quoteOf(v);
    if (!quote) return this.#pass(v);
    // Who got the quoted packet would answer with its mirror.
    const answered = mirror(quote.ends);
    let conn = flows.findReply(quote.proto, answered);
    let becomes: Ends | undefined;
    if (conn && isRestoredAtIngress(conn) !== egress) {
      const isHere = hook !== 'tc_pod_in' || conn.way !== 'past';
      if (!egress && (!isHere || (conn.role === 'middle' && !conn.used))) return this.#pass(v);
      becomes = conn.arrives;
    } else {
      conn = flows.find(egress ? 'middle' : 'front', quote.proto, answered);
      becomes = conn && mirror(conn.leaves);
    }
    if (!conn || !becomes) return this.#pass(v);
    const src = v.ends.src === quote.ends.dst ? becomes.dst : v.ends.src;
    const out = readdressedError(v, quote, becomes, { src, dst: becomes.src });
    this.#paths.push('ICMP_ERROR');
    if (conn.way === 'past') {
      if (routeTo(becomes.src).kind !== 'via') return this.#drop('NO_ROUTE');
      return { verdict: 'TC_ACT_REDIRECT', out };
    }
    if (conn.way === 'hairpin') return { verdict: 'TC_ACT_REDIRECT', out: swappedMacs(out) };
    return this.#pass(v, out);
  }

  /** XDP finishes what goes past the stack, and leaves everything else as it was. */
  #xdp(v: View, on: DeviceName): Outcome {
    const { flows, chooser } = this.env;
    const pass = { verdict: 'XDP_PASS' as const, out: v.frame };
    if (v.kind !== 'ports' || !v.plain || v.proto === PROTOCOL.sctp) return pass;
    const address = chooser.address(v.ends.dst);
    const conn = flows.find('front', v.proto, v.ends);
    if (!conn?.established) {
      if (!address) return pass;
      const reply = address.node ? flows.findReply(v.proto, v.ends) : undefined;
      if (reply?.way === 'past') {
        if (isAnothersReply(v, reply) || !this.#xdpCanSend(v, reply, 'reply', on)) return this.#leave(pass);
        flows.touch(reply, 'reply', v);
        flows.noteAnswer(reply, v);
        return this.#transmit(v, reply, 'reply', on);
      }
    }
    if (conn) {
      if (conn.way !== 'past' || conn.from !== 'wire') return pass;
      if (this.#isOver(conn, v) || !this.#xdpCanSend(v, conn, 'original', on)) return this.#leave(pass);
      if (flows.endsHandshake(conn, v) && !flows.establish(conn, v)) return this.#leave(pass);
      flows.touch(conn, 'original', v);
      return this.#transmit(v, conn, 'original', on);
    }
    if (address?.loopback) return pass;
    const begun = begin(this.env, v, 'wire', on, true);
    return begun.what === 'flow' ? this.#transmit(v, begun.conn, 'original', on) : pass;
  }

  #leave<T>(pass: T): T {
    this.#paths.push('XDP_TO_STACK');
    return pass;
  }

  #xdpCanSend(v: View, conn: Conn, d: Direction, on: DeviceName): boolean {
    const to = d === 'original' ? conn.leaves.dst : conn.arrives.src;
    const route = routeTo(to);
    let hop = conn.hops[d];
    if (!hop || !this.#isFresh(hop)) {
      hop = hopOf(this.env, route);
      if (!hop) return false;
      conn.hops[d] = hop;
    }
    if (v.end - 14 > hop.mtu || v.ttl <= 1) return false;
    return route.kind === 'via' && xdpReaches(this.env, on, route.device);
  }

  #transmit(v: View, conn: Conn, d: Direction, on: DeviceName): Outcome {
    const to = d === 'original' ? conn.leaves : mirror(conn.arrives);
    const route = routeTo(to.dst);
    const hop = conn.hops[d];
    if (route.kind !== 'via' || !hop) throw new Error('predict XDP: no next hop');
    this.#paths.push(d === 'original' ? 'REMOTE_XDP' : 'REPLY_XDP');
    const out = withMacs(withTtl(readdressed(v, to), v.family, v.ttl - 1), hop.macs);
    return { verdict: route.device === on ? 'XDP_TX' : 'XDP_REDIRECT', out };
  }
}

const fragmentKey = (v: View): string => `${v.proto} ${v.ends.src} ${v.ends.dst} ${v.fragmentId}`;

/** The CRC of a fragmented packet is out of reach. */
function needsNewSctpPorts(v: View, to: Ends): boolean {
  if (v.proto !== PROTOCOL.sctp || !v.firstFragment) return false;
  return !sameEnds(0, { ...v.ends, src: '', dst: '' }, { ...to, src: '', dst: '' });
}
