// Plays a story twice, through the programs and through the reference, and compares packet by packet.
import {
  CT_F_ESTABLISHED,
  CT_F_EXTERNAL,
  CT_F_FIN_ORIGINAL,
  CT_F_FIN_REPLY,
  CT_F_HAIRPIN,
  CT_F_MIDDLE,
  CT_F_NODE_CLIENT,
  CT_F_PAST_STACK,
  CT_F_RESTORE_INGRESS,
  CT_F_RST,
  CT_F_SEEN_REPLY,
  CT_F_VIA_XDP,
  type CtFlow,
} from '../../../src/abi/index.js';
import { type Bytes, equal, explainDiff, PROTOCOL, verifyChecksums } from '../packet/index.js';
import { DEVICES, type DeviceName } from '../packet/netns.js';
import type { PacketWorld } from '../packet/world.js';
import type { Environment } from './create.js';
import { ReferenceDatapath } from './datapath.js';
import type { Conn } from './flows.js';
import {
  CLIENTS,
  type Client,
  errorOf,
  ethernet,
  fragmentsOf,
  PORTS,
  packetOf,
  SEQUENCES,
  type Segment,
  spoiled,
} from './frames.js';
import type { Action, Shape, Story } from './generate.js';
import type { Kernel } from './kernel.js';
import { withMacs } from './rewrite.js';
import { routeTo } from './routes.js';
import { ReferenceSockets } from './sockets.js';
import { type Ends, type Input, mirror, type Settings, type SocketRequest } from './types.js';
import { look } from './view.js';
import {
  backendsOf,
  bookOf,
  install,
  makeEnvironment,
  type Place,
  writeAddresses,
  writeService,
} from './world.js';

const HOOKS: Input['hook'][] = ['tc_pod_in', 'tc_pod_out', 'tc_uplink_in', 'tc_uplink_out', 'xdp_uplink'];
const NOISE_PLACES: Place[] = ['pod1', 'pod2', 'remote', 'overlay', 'client', 'node', 'vip', 'lb', 'hairpin'];
const NOISE_PORTS = [40000, 40001, 8080, 80, 30080, 20001];
const isPod = (d: DeviceName): boolean => DEVICES[d].class === 'DEVICE_POD';

/** Waits are never whole seconds, so that the real time that passes cannot decide. */
const FRACTION = 0.037;

export class Play {
  packets = 0;
  /** Rendered only when something differs. */
  readonly #log: (() => string)[] = [];
  readonly #kernel: Kernel;
  readonly #world: PacketWorld;
  readonly #env: Environment;
  readonly #reference: ReferenceDatapath;
  readonly #sockets: ReferenceSockets;

  constructor(kernel: Kernel, story: Story, settings: Settings) {
    this.#kernel = kernel;
    this.#world = kernel.world;
    this.#env = makeEnvironment(story.world, settings);
    this.#reference = new ReferenceDatapath(this.#env);
    this.#sockets = new ReferenceSockets(settings, this.#env.chooser);
    install(kernel.world, this.#env, story.world);
    kernel.forgetSockets();
  }

  /** Throws with everything that led there when the two differ. */
  run(actions: Action[]): void {
    try {
      for (const a of actions) this.#act(a);
      this.#compareFlows();
    } catch (e) {
      (e as Error).message = `${this.#log.map((line) => line()).join('\n')}\n${(e as Error).message}`;
      throw e;
    }
  }

  #act(a: Action): void {
    const { chooser, flows } = this.#env;
    switch (a.do) {
      case 'send':
      case 'spoil': {
        const from = this.#client(a.from);
        const to = this.#destination(a.to);
        const ends = this.#ends(from, to, PORTS[a.sport] as number);
        if (!ends) return;
        const segment = { flags: 'S', seq: 1000, ack: 77 };
        if (a.do === 'send') {
          Object.assign(segment, { flags: a.flags, seq: SEQUENCES[a.seq] as number });
          return this.#sends(from.on, to.proto, ends, segment, a.shape);
        }
        const egress = from.on === undefined;
        const on = from.on ?? 'uplink';
        const p = packetOf(to.proto, ends, segment, a.shape, ethernet(on, egress));
        return this.#travel(from.on, spoiled(this.#kernel.build(p), a.how, a.at), a.shape.xdp);
      }
      case 'handshake': {
        const c = this.#pick(a.flow);
        if (!c) return;
        this.#answer(c, { flags: 'SA', seq: 5000, ack: 1001 }, a.shape);
        this.#again(c, { flags: 'A', seq: 1001, ack: 5001 }, a.shape);
        return;
      }
      case 'again': {
        const c = this.#pick(a.flow);
        if (!c) return;
        const right = { seq: c.established ? c.acked.reply : 1001, ack: c.promotes ?? 5001 };
        return this.#again(c, { flags: a.flags, ...(a.right ? right : { seq: 3e9, ack: 4e9 }) }, a.shape);
      }
      case 'answer': {
        const c = this.#pick(a.flow);
        if (!c) return;
        const right = { seq: c.established ? c.acked.original : 5000, ack: 1001 };
        return this.#answer(c, { flags: a.flags, ...(a.right ? right : { seq: 3e9, ack: 4e9 }) }, a.shape);
      }
      case 'error': {
        const c = this.#pick(a.flow);
        if (!c) return;
        const outer = this.#outermost(c);
        // About what the backend's side got, or about what the client's side got.
        const about = a.about === 'original' ? outer.leaves : mirror(c.arrives);
        const on = a.about === 'original' ? this.#deviceOf(outer.leaves.dst) : this.#clientDevice(c);
        const from = a.router ? undefined : about.dst;
        const frame = errorOf(
          c.proto,
          about,
          from,
          a.kind,
          a.cut,
          a.shape,
          ethernet(on ?? 'uplink', on === undefined),
        );
        return this.#travel(on, frame, a.shape.xdp);
      }
      case 'ping': {
        const from = this.#client(a.from);
        const ends = this.#ends(from, this.#destination(a.to), 1);
        if (!ends) return;
        const frame = this.#kernel.ping(ends, ethernet(from.on ?? 'uplink', from.on === undefined), a.shape);
        return this.#travel(from.on, frame, a.shape.xdp);
      }
      case 'fragments':
        return this.#fragments(a);
      case 'backend': {
        const all = backendsOf(this.#env);
        if (all.length === 0) return;
        const [service, backend] = all[a.which % all.length] as (typeof all)[0];
        if (backend.condition === 'gone' && a.condition !== 'gone') backend.generation++;
        backend.condition = a.condition;
        this.#says(`backend ${backend.ip}:${backend.port} of service ${service.id} is ${a.condition}`);
        writeService(this.#world, service);
        return writeAddresses(this.#world, this.#env);
      }
      case 'service': {
        const service = chooser.services[a.which % chooser.services.length];
        if (!service) return;
        service.exists = !service.exists;
        for (const b of service.backends) {
          if (service.exists) b.generation++;
          b.condition = service.exists ? 'ready' : 'gone';
        }
        this.#says(`service ${service.id} ${service.exists ? 'comes back' : 'is removed'}`);
        writeService(this.#world, service);
        return writeAddresses(this.#world, this.#env);
      }
      case 'wait': {
        const seconds = a.seconds + FRACTION;
        flows.now += seconds;
        chooser.now += seconds;
        this.#says(`${seconds} s pass`);
        return this.#world.passTime(seconds);
      }
      case 'routes':
        this.#env.fibGeneration++;
        this.#says('routes change');
        return this.#configure();
      case 'takeover':
        this.#env.takeover = !this.#env.takeover;
        this.#says(`takeover ${this.#env.takeover ? 'begins' : 'ends'}`);
        return this.#configure();
      case 'socket':
        return this.#socket(a);
      case 'noise': {
        const on = (['pod1', 'pod2', 'uplink', 'uplink2', 'overlay'] as const)[a.on] as DeviceName;
        const hook = HOOKS[a.hook] as Input['hook'];
        const book = bookOf(a.family);
        const ip = (i: number) => book[NOISE_PLACES[i % NOISE_PLACES.length] as Place] as string;
        const ends = {
          src: ip(a.src),
          sport: NOISE_PORTS[a.sport] as number,
          dst: ip(a.dst),
          dport: NOISE_PORTS[a.dport] as number,
        };
        const out = hook.endsWith('_out');
        const p = packetOf(
          a.proto,
          ends,
          { flags: a.flags, seq: 1000, ack: 5001 },
          a.shape,
          ethernet(on, out),
        );
        const cameBy = (['pod1', 'pod2', 'uplink', 'uplink2', 'overlay'] as const)[a.cameBy];
        this.#run({ hook, on, frame: this.#kernel.build(p), ...(out && cameBy ? { cameBy } : {}) });
      }
    }
  }

  #says(line: string): void {
    this.#log.push(() => `-- ${line}`);
  }

  #configure(): void {
    this.#world.configure({
      fib_generation: BigInt(this.#env.fibGeneration),
      takeover_until_ns: this.#env.takeover ? 1n << 62n : 0n,
    });
  }

  #client(i: number): Client {
    return CLIENTS[i % CLIENTS.length] as Client;
  }

  /** A frontend; sometimes beside one. */
  #destination(i: number): {
    ip: (place: Place) => string;
    family: 4 | 6;
    dst: string;
    port: number;
    proto: number;
  } {
    const all = this.#env.chooser.services.flatMap((s) => s.fronts.map((f) => ({ s, f })));
    const { s, f } = all[i % all.length] as (typeof all)[0];
    const book = bookOf(s.family);
    const nodePlaces: Place[] = ['node', 'node', 'node2nd', 'nodeOverlay', 'loopback'];
    const odd = Math.floor(i / all.length) % 16;
    const own = f.ip === '*' ? (book[nodePlaces[odd % 5] as Place] as string) : f.ip;
    const dst = odd === 15 ? (s.family === 4 ? '10.96.0.99' : 'fd00:10:96::99') : own;
    const port = odd === 14 ? f.port + 1 : f.port;
    return { ip: (place) => book[place] as string, family: s.family, dst, port, proto: s.proto };
  }

  #ends(
    from: Client,
    to: { ip: (p: Place) => string; dst: string; port: number },
    sport: number,
  ): Ends | undefined {
    const src = to.ip(from.place);
    if (from.on === undefined && (routeTo(to.dst).kind !== 'via' || to.dst === src)) return;
    return { src, sport, dst: to.dst, dport: to.port };
  }

  #pick(i: number): Conn | undefined {
    const all = [...this.#env.flows.all()].filter((c) => c.role === 'front');
    return all[i % Math.max(1, all.length)];
  }

  /** What the backend sees of a connection. */
  #outermost(c: Conn): Conn {
    return this.#env.flows.find('middle', c.proto, c.leaves) ?? c;
  }

  #deviceOf(ip: string): DeviceName | undefined {
    const route = routeTo(ip);
    return route.kind === 'via' ? route.device : undefined;
  }

  #clientDevice(c: Conn): DeviceName | undefined {
    if (c.from === 'node') return undefined;
    return c.from === 'wire' ? (this.#deviceOf(c.arrives.src) ?? 'uplink') : (c.from as DeviceName);
  }

  #again(c: Conn, s: Segment, shape: Shape): void {
    this.#sends(this.#clientDevice(c), c.proto, c.arrives, s, shape);
  }

  #answer(c: Conn, s: Segment, shape: Shape): void {
    const ends = mirror(this.#outermost(c).leaves);
    this.#sends(this.#deviceOf(ends.src), c.proto, ends, s, shape);
  }

  #sends(on: DeviceName | undefined, proto: number, ends: Ends, s: Segment, shape: Shape): void {
    const p = packetOf(proto, ends, s, shape, ethernet(on ?? 'uplink', on === undefined));
    this.#travel(on, this.#kernel.build(p), shape.xdp);
  }

  #fragments(a: Extract<Action, { do: 'fragments' }>): void {
    const c = this.#pick(a.flow);
    let ends: Ends | undefined;
    let on: DeviceName | undefined;
    let proto: number = PROTOCOL.udp;
    if (c && a.from % 2) {
      ends = a.from % 4 === 1 ? mirror(this.#outermost(c).leaves) : c.arrives;
      on = a.from % 4 === 1 ? this.#deviceOf(ends.src) : this.#clientDevice(c);
      proto = c.proto;
    } else {
      const from = this.#client(a.from);
      const to = this.#destination(a.to);
      ends = this.#ends(from, to, PORTS[a.sport] as number);
      on = from.on;
      proto = to.proto;
    }
    if (!ends) return;
    const eth = ethernet(on ?? 'uplink', on === undefined);
    const all = fragmentsOf(proto, ends, { flags: 'S', seq: 1000, ack: 0 }, a.shape, eth);
    for (const i of a.order) {
      const frame = all[i];
      if (frame) this.#travel(on, frame, a.shape.xdp);
    }
  }

  /** In by a device (or from a socket), through the stack where it is handed up, out by another. */
  #travel(on: DeviceName | undefined, frame: Bytes, xdp: boolean): void {
    let now = frame;
    if (on !== undefined) {
      if (!isPod(on) && xdp) {
        const result = this.#run({ hook: 'xdp_uplink', on, frame: now });
        if (result.verdict !== 'XDP_PASS') return;
      }
      const result = this.#run({ hook: isPod(on) ? 'tc_pod_in' : 'tc_uplink_in', on, frame: now });
      if (!result.out) return;
      now = result.out;
      if (result.verdict === 'TC_ACT_REDIRECT') {
        const path = result.paths[0];
        if (path === 'REFUSED' || path === 'ECHO') return;
        return this.#leaves(path === 'HAIRPIN' ? on : undefined, on, now);
      }
    }
    this.#leaves(undefined, on, now);
  }

  #leaves(fixed: DeviceName | undefined, cameBy: DeviceName | undefined, frame: Bytes): void {
    const dst = look(frame)?.ends.dst;
    const out = fixed ?? (dst === undefined ? undefined : this.#deviceOf(dst));
    if (out === undefined) return;
    const hook = isPod(out) ? 'tc_pod_out' : 'tc_uplink_out';
    const result = this.#run({
      hook,
      on: out,
      frame: withMacs(frame, ethernet(out, true)),
      ...(cameBy ? { cameBy } : {}),
    });
    if (hook === 'tc_uplink_out' && result.verdict === 'TC_ACT_REDIRECT' && result.out && !cameBy) {
      // A socket's packet was translated: it goes on to the backend's device.
      if (result.paths[0] === 'NODE_EGRESS') this.#leaves(undefined, out, result.out);
    }
  }

  #run(input: Input) {
    this.packets++;
    const { hook, on, cameBy } = input;
    const by = hook.endsWith('_out') ? ` (came by ${cameBy ?? 'a socket'})` : '';
    const real = this.#kernel.run(input);
    const wanted = this.#reference.predict(input);
    this.#log.push(
      () => `${hook} on ${on}${by}: ${this.#kernel.describe(input.frame)} => ${real.verdict} ${real.counted}`,
    );
    const counted = `${wanted.paths.join()}${wanted.drops.length > 0 ? ` drops ${wanted.drops.join()}` : ''}`;
    const problem =
      real.verdict !== wanted.verdict
        ? `verdict is ${real.verdict}, the reference says ${wanted.verdict}`
        : wanted.out && !equal(wanted.out, real.out)
          ? 'the packet differs from the reference'
          : real.counted !== counted
            ? `counted '${real.counted}', the reference says '${counted}'`
            : undefined;
    if (problem) {
      const diff = explainDiff(wanted.out ?? new Uint8Array(0), real.out, ['reference', 'data path']);
      throw new Error(`${problem}\n(reference: ${wanted.verdict} ${counted})\n${diff}`);
    }
    // What came in right must go out right.
    if (wanted.out && wanted.out !== input.frame) {
      // The CRC of a quoted SCTP packet covers what is not quoted, and nobody looks at it.
      const wrong = verifyChecksums(real.out).filter((w) => !w.startsWith('quoted sctp'));
      if (wrong.length > 0 && verifyChecksums(input.frame).length === 0) {
        throw new Error(`the packet goes out wrong: ${wrong.join('; ')}`);
      }
    }
    return wanted;
  }

  #socket(a: Extract<Action, { do: 'socket' }>): void {
    const { settings } = this.#env;
    const to = this.#destination(a.to);
    const r: SocketRequest = {
      hook: a.hook,
      proto: a.hook === 'sendmsg' ? PROTOCOL.udp : a.proto,
      ip: to.dst,
      port: to.port,
      netns: a.host ? settings.hostNetns : settings.hostNetns + 1n,
      cookie: BigInt(a.cookie + 1),
    };
    if (a.hook === 'recvmsg') {
      const all = backendsOf(this.#env);
      const b = all[a.to % Math.max(1, all.length)]?.[1];
      if (b) Object.assign(r, { ip: b.ip, port: b.port });
    }
    this.packets++;
    const wanted = this.#sockets.predict(r);
    const real = this.#kernel.socket(r);
    const at = `${r.ip}:${r.port}`;
    const got = real.to ? `${real.to.ip}:${real.to.port}` : 'unchanged';
    this.#log.push(
      () =>
        `${r.hook} of ${a.host ? 'host' : 'pod'} socket ${r.cookie} proto ${r.proto} to ${at} => ${real.allowed ? got : 'refused'} ${real.counted}`,
    );
    const fits = real.to
      ? wanted.to.some((b) => b.ip === real.to?.ip && b.port === real.to?.port)
      : wanted.to.length === 0 || wanted.maybe === true;
    const paths = real.to || wanted.to.length === 0 ? wanted.paths.join() : '';
    if (real.allowed !== wanted.allowed || !fits || real.counted !== paths) {
      const list = wanted.to.map((b) => `${b.ip}:${b.port}`).join(' or ') || 'unchanged';
      throw new Error(
        `the socket's answer differs: the reference says ${wanted.allowed ? 'allowed' : 'refused'}, ${list}, counted '${paths}'`,
      );
    }
    if (real.to) wanted.follow(real.to);
  }

  #compareFlows(): void {
    const wanted = [...this.#env.flows.all()].flatMap(lines).sort();
    const real = Object.entries(this.#world.ct)
      .flatMap(([table, map]) => map.entries().map(([k, f]) => line(table, k, f.peer, f)))
      .sort();
    if (wanted.join('\n') === real.join('\n')) return;
    const missing = wanted.filter((l) => !real.includes(l));
    const extra = real.filter((l) => !wanted.includes(l));
    throw new Error(
      `flow entries differ\nonly in the reference:\n${missing.join('\n')}\nonly in the maps:\n${extra.join('\n')}`,
    );
  }
}

const COMPARED =
  CT_F_ESTABLISHED |
  CT_F_EXTERNAL |
  CT_F_FIN_ORIGINAL |
  CT_F_FIN_REPLY |
  CT_F_HAIRPIN |
  CT_F_MIDDLE |
  CT_F_NODE_CLIENT |
  CT_F_PAST_STACK |
  CT_F_RESTORE_INGRESS |
  CT_F_RST |
  CT_F_SEEN_REPLY |
  CT_F_VIA_XDP;

function line(table: string, k: Ends & { proto: number; dir: number }, p: Ends, f: Partial<CtFlow>): string {
  const ends = (e: Ends) => `${e.src} ${e.sport} > ${e.dst} ${e.dport}`;
  const flags = ((f.flags ?? 0) & COMPARED).toString(2);
  return `${table} ${k.dir} proto ${k.proto} ${ends(k)} / ${ends(p)} service ${f.service_id} backend ${f.backend_id}.${f.backend_generation} flags ${flags}`;
}

const WAYS = {
  local: 0,
  past: CT_F_PAST_STACK,
  hairpin: CT_F_HAIRPIN,
  node: CT_F_NODE_CLIENT,
  middle: CT_F_MIDDLE,
};

function lines(c: Conn): string[] {
  const table = c.proto !== PROTOCOL.tcp ? 'any' : c.established ? 'flows' : 'half_open';
  const bits: [boolean, number][] = [
    [c.established, CT_F_ESTABLISHED],
    [c.external, CT_F_EXTERNAL],
    [c.fin.original, CT_F_FIN_ORIGINAL],
    [c.fin.reply, CT_F_FIN_REPLY],
    [c.rst, CT_F_RST],
    [c.seenReply, CT_F_SEEN_REPLY],
    [c.viaXdp, CT_F_VIA_XDP],
    [c.way !== 'local', CT_F_RESTORE_INGRESS],
  ];
  const f = {
    service_id: c.serviceId,
    backend_id: c.backend.id,
    backend_generation: c.generation,
    flags: bits.reduce((all, [on, bit]) => (on ? all | bit : all), WAYS[c.way]),
  };
  const reply = mirror(c.leaves);
  const dir = c.role === 'front' ? 0 : 2;
  return [
    line(table, { ...c.arrives, proto: c.proto, dir }, reply, f),
    line(table, { ...reply, proto: c.proto, dir: 1 }, c.arrives, f),
  ];
}
