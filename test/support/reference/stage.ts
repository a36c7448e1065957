// One packet at a time through the programs and the reference, and along its way through the node.
import { type Bytes, equal, explainDiff, verifyChecksums } from '../packet/index.js';
import { DEVICES, type DeviceName } from '../packet/netns.js';
import type { PacketWorld } from '../packet/world.js';
import type { Environment } from './create.js';
import { ReferenceDatapath } from './datapath.js';
import { ethernet } from './frames.js';
import type { Kernel } from './kernel.js';
import { withMacs } from './rewrite.js';
import { routeTo } from './routes.js';
import { ReferenceSockets } from './sockets.js';
import type { Input, Prediction, Settings, SocketRequest } from './types.js';
import { look } from './view.js';
import { install, makeEnvironment, type WorldPlan } from './world.js';

const isPod = (d: DeviceName): boolean => DEVICES[d].class === 'DEVICE_POD';

export class Stage {
  packets = 0;
  /** What became of them, by hook: how often. */
  readonly outcomes = new Map<string, number>();
  /** What happened; rendered only when something differs. */
  readonly log: (() => string)[] = [];
  protected readonly kernel: Kernel;
  protected readonly world: PacketWorld;
  protected readonly env: Environment;
  readonly #reference: ReferenceDatapath;
  readonly #sockets: ReferenceSockets;

  constructor(kernel: Kernel, plan: WorldPlan, settings: Settings) {
    this.kernel = kernel;
    this.world = kernel.world;
    this.env = makeEnvironment(plan, settings);
    this.#reference = new ReferenceDatapath(this.env);
    this.#sockets = new ReferenceSockets(settings, this.env.chooser);
    install(kernel.world, this.env, plan);
    kernel.forgetSockets();
  }

  protected says(line: string): void {
    this.log.push(() => `-- ${line}`);
  }

  protected deviceOf(ip: string): DeviceName | undefined {
    const route = routeTo(ip);
    return route.kind === 'via' ? route.device : undefined;
  }

  /** In by a device (or from a socket), through the stack where it is handed up, out by another. */
  protected travel(on: DeviceName | undefined, frame: Bytes, xdp: boolean): void {
    let now = frame;
    if (on !== undefined) {
      if (!isPod(on) && xdp) {
        const result = this.send({ hook: 'xdp_uplink', on, frame: now });
        if (result.verdict !== 'XDP_PASS') return;
      }
      const result = this.send({ hook: isPod(on) ? 'tc_pod_in' : 'tc_uplink_in', on, frame: now });
      if (!result.out) return;
      now = result.out;
      if (result.verdict === 'TC_ACT_REDIRECT') {
        const path = result.paths[0];
        if (path === 'REFUSED' || path === 'ECHO') return;
        this.leaves(path === 'HAIRPIN' ? on : undefined, on, now);
        return;
      }
    }
    this.leaves(undefined, on, now);
  }

  protected leaves(fixed: DeviceName | undefined, cameBy: DeviceName | undefined, frame: Bytes): void {
    const dst = look(frame)?.ends.dst;
    const out = fixed ?? (dst === undefined ? undefined : this.deviceOf(dst));
    if (out === undefined) return;
    const hook = isPod(out) ? 'tc_pod_out' : 'tc_uplink_out';
    const result = this.send({
      hook,
      on: out,
      frame: withMacs(frame, ethernet(out, true)),
      ...(cameBy ? { cameBy } : {}),
    });
    if (hook === 'tc_uplink_out' && result.verdict === 'TC_ACT_REDIRECT' && result.out && !cameBy) {
      // A socket's packet was translated: it goes on to the backend's device.
      if (result.paths[0] === 'NODE_EGRESS') this.leaves(undefined, out, result.out);
    }
  }

  protected send(input: Input): Prediction {
    this.packets++;
    const { hook, on, cameBy } = input;
    const by = hook.endsWith('_out') ? ` (came by ${cameBy ?? 'a socket'})` : '';
    const real = this.kernel.run(input);
    const wanted = this.#reference.predict(input);
    this.log.push(
      () => `${hook} on ${on}${by}: ${this.kernel.describe(input.frame)} => ${real.verdict} ${real.counted}`,
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
    const outcome = `${hook} ${wanted.verdict} ${counted}`.trim();
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
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

  protected ask(r: SocketRequest): void {
    this.packets++;
    const wanted = this.#sockets.predict(r);
    const real = this.kernel.socket(r);
    const at = `${r.ip}:${r.port}`;
    const got = real.to ? `${real.to.ip}:${real.to.port}` : 'unchanged';
    this.log.push(
      () =>
        `${r.hook} of ${r.netns === this.env.settings.hostNetns ? 'host' : 'pod'} socket ${r.cookie} proto ${r.proto} to ${at} => ${real.allowed ? got : 'refused'} ${real.counted}`,
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
    const outcome = `${r.hook} of a socket, ${real.to ? 'translated' : real.allowed ? 'untouched' : 'refused'}`;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (real.to) wanted.follow(real.to);
    else wanted.unchanged?.();
  }
}
