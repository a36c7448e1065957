// The programs under test: PacketWorld with counters read raw, and the twin of the socket hooks.
import {
  drop_reason,
  type LbSettings,
  lb_path,
  SETTING_CLUSTER_CIDRS,
  SETTING_HOST_ROUTING_STACK,
  SETTING_MASQUERADE_ALL,
  SETTING_MASQUERADE_EXTERNAL,
  SETTING_SERVICE_CIDRS,
  SETTING_SOCK_ALL,
  SETTING_SOCK_UDP_CONNECT,
} from '../../../src/abi/index.js';
import { type Bytes, build, echo, explain, formatIp, type Packet, read16, u16 } from '../packet/index.js';
import { DEVICES } from '../packet/netns.js';
import { PacketWorld } from '../packet/world.js';
import type { Shape } from './generate.js';
import { mapped } from './hash.js';
import type { Ends, Input, Settings, SocketRequest } from './types.js';

const SHARDS = 8;
const TWIN_AT = 16;
const TWIN_MAGIC = 0x4e495754;
const TWIN_HOOKS = { connect: 1, sendmsg: 2, recvmsg: 3 };

const names = (table: Record<string, number>, prefix: string): [string, number][] =>
  Object.entries(table)
    .filter(([n]) => !n.endsWith('_MAX'))
    .map(([n, value]) => [n.slice(prefix.length), value]);
const PATHS = names(lb_path, 'PATH_');
const DROPS = names(drop_reason, 'DROP_REASON_');

export class Kernel {
  readonly world: PacketWorld;
  readonly #paths: BigUint64Array;
  readonly #drops: BigUint64Array;

  private constructor(world: PacketWorld) {
    this.world = world;
    this.#paths = new BigUint64Array(world.object.map('stats_paths').mmap());
    this.#drops = new BigUint64Array(world.object.map('stats_drops').mmap());
  }

  static async open(s: Settings): Promise<Kernel> {
    const flags: [boolean, number][] = [
      [s.masqueradeExternal, SETTING_MASQUERADE_EXTERNAL],
      [s.masqueradeAll, SETTING_MASQUERADE_ALL],
      [s.throughStack, SETTING_HOST_ROUTING_STACK],
      [s.clusterCidrs, SETTING_CLUSTER_CIDRS],
      [s.serviceCidrs, SETTING_SERVICE_CIDRS],
      [s.socketsOfPods, SETTING_SOCK_ALL],
      [s.socketUdpConnect, SETTING_SOCK_UDP_CONNECT],
    ];
    const settings: Partial<LbSettings> & { hash_seed: number } = {
      flags: flags.reduce((all, [on, bit]) => (on ? all | bit : all), 0),
      host_netns_cookie: s.hostNetns,
      snat_port_min: s.snatPorts[0],
      snat_port_max: s.snatPorts[1],
      hairpin4: s.hairpin[4],
      hairpin6: s.hairpin[6],
      hash_seed: s.hashSeed,
    };
    return new Kernel(
      await PacketWorld.open(settings, {
        programs: ['sk_twin'],
        sizes: { ct_flows: s.establishedMax },
      }),
    );
  }

  /** What sockets remember, which PacketWorld does not know of. */
  forgetSockets(): void {
    const map = this.world.object.map('sock_reverse');
    for (let key = map.nextKey(); key; key = map.nextKey()) map.delete(key);
  }

  build(p: Packet): Bytes {
    return build(p);
  }

  ping(e: Ends, eth: { dst: string; src: string }, shape: Shape): Bytes {
    return build(echo(e.src, e.dst, { eth, ttl: shape.ttl, payload: new Uint8Array(shape.payload) }));
  }

  describe(frame: Bytes): string {
    const all = new Map(explain(frame));
    const get = (k: string) => all.get(k) ?? '';
    const flags = all.has('l4.flags') ? ` ${get('l4.flags')} seq ${get('l4.seq')} ack ${get('l4.ack')}` : '';
    const wrong = all.get('malformed') ?? all.get('wrong');
    const inner = all.has('quoted.ip.src')
      ? ` about ${get('quoted.ip.src')} ${get('quoted.l4.sport')} > ${get('quoted.ip.dst')} ${get('quoted.l4.dport')}`
      : '';
    const part = all.get('ip.mf') === 'true' || (all.get('ip.offset') ?? '0') !== '0' ? ' fragment' : '';
    return `${get('l4.kind')} ${get('ip.src')} ${get('l4.sport')} > ${get('ip.dst')} ${get('l4.dport')}${flags}${inner}${part}${wrong ? ` (${wrong})` : ''}`;
  }

  run(input: Input): { verdict: string; out: Bytes; counted: string } {
    this.#clear();
    const cameBy = input.cameBy ? { cameBy: DEVICES[input.cameBy].ifindex } : {};
    const { verdict, out } = this.world.run(input.hook, input.frame, input.on, cameBy);
    return { verdict, out, counted: this.#counted() };
  }

  #clear(): void {
    this.#paths.fill(0n);
    this.#drops.fill(0n);
  }

  #counted(): string {
    const found = (table: [string, number][], words: BigUint64Array, stride: number) => {
      const out: string[] = [];
      for (const [name, value] of table) {
        let n = 0n;
        for (let shard = 0; shard < SHARDS; shard++) n += words[(value * SHARDS + shard) * stride] as bigint;
        for (; n > 0n; n--) out.push(name);
      }
      return out.join();
    };
    const drops = found(DROPS, this.#drops, 1);
    return `${found(PATHS, this.#paths, 2)}${drops === '' ? '' : ` drops ${drops}`}`;
  }

  /** `to` when the address was changed. */
  socket(r: SocketRequest): { allowed: boolean; to?: { ip: string; port: number }; counted: string } {
    const frame = new Uint8Array(TWIN_AT + 48);
    const view = new DataView(frame.buffer, TWIN_AT);
    view.setUint32(0, TWIN_MAGIC, true);
    view.setUint8(4, TWIN_HOOKS[r.hook]);
    view.setUint8(5, r.proto);
    frame.set(u16(r.port), TWIN_AT + 6);
    frame.set(mapped(r.ip), TWIN_AT + 8);
    view.setBigUint64(24, r.netns, true);
    view.setBigUint64(32, r.cookie, true);
    this.#clear();
    const { retval, data } = this.world.object.program('sk_twin').testRun({ data: frame });
    if ((retval | 0) !== -1) throw new Error(`run the twin of the socket hooks: it returned ${retval | 0}`);
    const answer = new DataView(data.buffer, data.byteOffset + TWIN_AT);
    const addr = data.subarray(TWIN_AT + 8, TWIN_AT + 24);
    const isV4 = addr.subarray(0, 10).every((b) => b === 0) && addr[10] === 255 && addr[11] === 255;
    const to = { ip: formatIp(isV4 ? addr.subarray(12) : addr), port: read16(data, TWIN_AT + 6) };
    const changed = answer.getUint32(44, true) !== 0;
    const allowed = answer.getUint32(40, true) === 1;
    return { allowed, ...(changed ? { to } : {}), counted: this.#counted() };
  }
}
