// Plays a story: every action becomes packets, requests of sockets or changes of state, on a Stage.
import { PROTOCOL } from '../packet/index.js';
import type { DeviceName } from '../packet/netns.js';
import { compareFlows } from './flow-lines.js';
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
import type { Action, Shape } from './generate.js';
import { routeTo } from './routes.js';
import { Stage } from './stage.js';
import { type Ends, type Input, mirror, type SocketRequest } from './types.js';
import { backendsOf, bookOf, type Place, writeAddresses, writeService } from './world.js';

const HOOKS: Input['hook'][] = ['tc_pod_in', 'tc_pod_out', 'tc_uplink_in', 'tc_uplink_out', 'xdp_uplink'];
const NOISE_PLACES: Place[] = ['pod1', 'pod2', 'remote', 'overlay', 'client', 'node', 'vip', 'lb', 'hairpin'];
const NOISE_PORTS = [40000, 40001, 8080, 80, 30080, 20001];
const DEVICE_NAMES: DeviceName[] = ['pod1', 'pod2', 'uplink', 'uplink2', 'overlay'];

/** Waits are never whole seconds, so that the real time that passes cannot decide. */
const FRACTION = 0.037;

type Of<K extends Action['do']> = Extract<Action, { do: K }>;

export class Play extends Stage {
  /** Throws with everything that led there when the two differ. */
  run(actions: Action[]): void {
    try {
      for (const a of actions) this.#act(a);
      compareFlows(this.env.flows, this.world);
    } catch (e) {
      (e as Error).message = `${this.log.map((line) => line()).join('\n')}\n${(e as Error).message}`;
      throw e;
    }
  }

  #act(a: Action): void {
    switch (a.do) {
      case 'send':
      case 'spoil':
        this.#spoilAction(a);
        break;
      case 'handshake':
        this.#handshakeAction(a);
        break;
      case 'again':
        this.#againAction(a);
        break;
      case 'answer':
        this.#answerAction(a);
        break;
      case 'error':
        this.#errorAction(a);
        break;
      case 'ping':
        this.#pingAction(a);
        break;
      case 'fragments':
        this.#fragmentsAction(a);
        break;
      case 'backend':
        this.#backendAction(a);
        break;
      case 'service':
        this.#serviceAction(a);
        break;
      case 'wait':
        this.#waitAction(a);
        break;
      case 'routes':
        this.#routesAction();
        break;
      case 'takeover':
        this.#takeoverAction();
        break;
      case 'socket':
        this.#socketAction(a);
        break;
      case 'noise':
        this.#noiseAction(a);
        break;
    }
  }

  #spoilAction(a: Of<'send' | 'spoil'>): void {
    const from = this.#client(a.from);
    const to = this.#destination(a.to);
    const ends = this.#ends(from, to, PORTS[a.sport] as number);
    if (!ends) return;
    const good: Segment = { flags: 'S', seq: 1000, ack: 77 };
    if (a.do === 'send') {
      const segment = { ...good, flags: a.flags, seq: SEQUENCES[a.seq] as number };
      this.#sends(from.on, to.proto, ends, segment, a.shape);
      return;
    }
    const egress = from.on === undefined;
    const on = from.on ?? 'uplink';
    const p = packetOf(to.proto, ends, good, a.shape, ethernet(on, egress));
    this.travel(from.on, spoiled(this.kernel.build(p), a.how, a.at), a.shape.xdp);
  }

  #handshakeAction(a: Of<'handshake'>): void {
    const c = this.#pick(a.flow);
    if (!c) return;
    this.#answer(c, { flags: 'SA', seq: 5000, ack: 1001 }, a.shape);
    this.#again(c, { flags: 'A', seq: 1001, ack: 5001 }, a.shape);
  }

  #againAction(a: Of<'again'>): void {
    const c = this.#pick(a.flow);
    if (!c) return;
    const right = { seq: c.established ? c.acked.reply : 1001, ack: c.promotes ?? 5001 };
    this.#again(c, { flags: a.flags, ...(a.right ? right : { seq: 3e9, ack: 4e9 }) }, a.shape);
  }

  #answerAction(a: Of<'answer'>): void {
    const c = this.#pick(a.flow);
    if (!c) return;
    const right = { seq: c.established ? c.acked.original : 5000, ack: 1001 };
    this.#answer(c, { flags: a.flags, ...(a.right ? right : { seq: 3e9, ack: 4e9 }) }, a.shape);
  }

  #errorAction(a: Of<'error'>): void {
    const c = this.#pick(a.flow);
    if (!c) return;
    const outer = this.#outermost(c);
    // About what the backend's side got, or about what the client's side got.
    const about = a.about === 'original' ? outer.leaves : mirror(c.arrives);
    const on = a.about === 'original' ? this.deviceOf(outer.leaves.dst) : this.#clientDevice(c);
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
    this.travel(on, frame, a.shape.xdp);
  }

  #pingAction(a: Of<'ping'>): void {
    const from = this.#client(a.from);
    const ends = this.#ends(from, this.#destination(a.to), 1);
    if (!ends) return;
    const frame = this.kernel.ping(ends, ethernet(from.on ?? 'uplink', from.on === undefined), a.shape);
    this.travel(from.on, frame, a.shape.xdp);
  }

  #fragmentsAction(a: Of<'fragments'>): void {
    this.#fragments(a);
  }

  #backendAction(a: Of<'backend'>): void {
    const all = backendsOf(this.env);
    if (all.length === 0) return;
    const [service, backend] = all[a.which % all.length] as (typeof all)[0];
    if (backend.condition === 'gone' && a.condition !== 'gone') backend.generation++;
    backend.condition = a.condition;
    this.says(`backend ${backend.ip}:${backend.port} of service ${service.id} is ${a.condition}`);
    writeService(this.world, service);
    writeAddresses(this.world, this.env);
  }

  #serviceAction(a: Of<'service'>): void {
    const { services } = this.env.chooser;
    const service = services[a.which % services.length];
    if (!service) return;
    service.exists = !service.exists;
    for (const b of service.backends) {
      if (service.exists) b.generation++;
      b.condition = service.exists ? 'ready' : 'gone';
    }
    this.says(`service ${service.id} ${service.exists ? 'comes back' : 'is removed'}`);
    writeService(this.world, service);
    writeAddresses(this.world, this.env);
  }

  #waitAction(a: Of<'wait'>): void {
    const seconds = a.seconds + FRACTION;
    this.env.flows.now += seconds;
    this.env.chooser.now += seconds;
    this.says(`${seconds} s pass`);
    this.world.passTime(seconds);
  }

  #routesAction(): void {
    this.env.fibGeneration++;
    this.says('routes change');
    this.#configure();
  }

  #takeoverAction(): void {
    this.env.takeover = !this.env.takeover;
    this.says(`takeover ${this.env.takeover ? 'begins' : 'ends'}`);
    this.#configure();
  }

  #socketAction(a: Of<'socket'>): void {
    this.#socket(a);
  }

  #noiseAction(a: Of<'noise'>): void {
    const on = DEVICE_NAMES[a.on] as DeviceName;
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
    const p = packetOf(a.proto, ends, { flags: a.flags, seq: 1000, ack: 5001 }, a.shape, ethernet(on, out));
    const cameBy = DEVICE_NAMES[a.cameBy];
    this.send({ hook, on, frame: this.kernel.build(p), ...(out && cameBy ? { cameBy } : {}) });
  }

  #configure(): void {
    this.world.configure({
      fib_generation: BigInt(this.env.fibGeneration),
      takeover_until_ns: this.env.takeover ? 1n << 62n : 0n,
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
    const all = this.env.chooser.services.flatMap((s) => s.fronts.map((f) => ({ s, f })));
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
    const all = [...this.env.flows.all()].filter((c) => c.role === 'front');
    return all[i % Math.max(1, all.length)];
  }

  /** What the backend sees of a connection. */
  #outermost(c: Conn): Conn {
    return this.env.flows.find('middle', c.proto, c.leaves) ?? c;
  }

  #clientDevice(c: Conn): DeviceName | undefined {
    if (c.from === 'node') return undefined;
    return c.from === 'wire' ? (this.deviceOf(c.arrives.src) ?? 'uplink') : (c.from as DeviceName);
  }

  #again(c: Conn, s: Segment, shape: Shape): void {
    this.#sends(this.#clientDevice(c), c.proto, c.arrives, s, shape);
  }

  #answer(c: Conn, s: Segment, shape: Shape): void {
    const ends = mirror(this.#outermost(c).leaves);
    this.#sends(this.deviceOf(ends.src), c.proto, ends, s, shape);
  }

  #sends(on: DeviceName | undefined, proto: number, ends: Ends, s: Segment, shape: Shape): void {
    const p = packetOf(proto, ends, s, shape, ethernet(on ?? 'uplink', on === undefined));
    this.travel(on, this.kernel.build(p), shape.xdp);
  }

  #fragments(a: Extract<Action, { do: 'fragments' }>): void {
    const c = this.#pick(a.flow);
    let ends: Ends | undefined;
    let on: DeviceName | undefined;
    let proto: number = PROTOCOL.udp;
    if (c && a.from % 2) {
      ends = a.from % 4 === 1 ? mirror(this.#outermost(c).leaves) : c.arrives;
      on = a.from % 4 === 1 ? this.deviceOf(ends.src) : this.#clientDevice(c);
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
    a.order.forEach((i, n) => {
      if (n === 1 && a.late) this.#waitAction({ do: 'wait', seconds: 1 });
      const frame = all[i];
      if (frame) this.travel(on, frame, a.shape.xdp);
    });
  }

  #socket(a: Extract<Action, { do: 'socket' }>): void {
    const { settings } = this.env;
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
      const all = backendsOf(this.env);
      const b = all[a.to % Math.max(1, all.length)]?.[1];
      if (b) Object.assign(r, { ip: b.ip, port: b.port });
    }
    this.ask(r);
  }
}
