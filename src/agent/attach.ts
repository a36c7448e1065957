import { type Attached, type AttachedDevice, isStillThere, type LostProgram } from './attached.js';
import type { Counters } from './counters.js';
import type { Device, DeviceClass } from './devices.js';
import { codeOf, messageOf } from './errors.js';
import {
  clsactPlace,
  type HookPort,
  type LinkHandle,
  OUR_TC_PROGRAMS,
  type PinDirectory,
  type TcDirection,
} from './hook-port.js';
import type { Logger, WarningLog } from './log.js';
import type { XdpMode } from './options.js';
import { PinnedLinks } from './pinned-links.js';
import type { DeviceHook } from './pins.js';

export interface AttacherOptions<Program> {
  hooks: HookPort<Program>;
  pins: PinDirectory;
  /** Programs of this agent's load, by name. */
  program: (name: string) => Program;
  xdp: XdpMode;
  log: Logger;
  warnings: WarningLog;
  counters: Counters;
}

export type Retry = 'soon' | 'later' | 'no';
const RETRIES: readonly Retry[] = ['soon', 'later'];

/** Programs by class. Egress before ingress: replies can be restored before the first packet is translated. */
const TC_PROGRAMS: Partial<Record<DeviceClass, { egress: string; ingress: string }>> = {
  pod: { egress: 'tc_pod_out', ingress: 'tc_pod_in' },
  uplink: { egress: 'tc_uplink_out', ingress: 'tc_uplink_in' },
  overlay: { egress: 'tc_uplink_out', ingress: 'tc_uplink_in' },
  layer3: { egress: 'tc_layer3_out', ingress: 'tc_layer3_in' },
};
const XDP_PROGRAM = 'xdp_uplink';
const XDP_HOOKS = ['xdp', 'xdp_generic'] as const;

/**
 * Puts programs on devices and keeps them there. Links are pinned, so they outlive the agent; the next one
 * finds them by what the kernel says they are attached to, not by file name, and replaces their programs
 * atomically: at no moment is a device without one.
 */
export class Attacher<Program> {
  readonly #o: AttacherOptions<Program>;
  readonly #links: PinnedLinks<Program>;
  readonly #attached = new Map<number, Map<DeviceHook, Attached>>();
  #devices = new Map<number, Device>();

  constructor(options: AttacherOptions<Program>) {
    this.#o = options;
    this.#links = new PinnedLinks(options.hooks, options.pins, options.log);
  }

  /** Devices that transmit XDP frames because our native program runs on them. */
  get xdpDevices(): number[] {
    return [...this.#attached].filter(([, hooks]) => hooks.has('xdp')).map(([ifindex]) => ifindex);
  }

  /** Devices with programs from an earlier agent or this one. */
  get ifindexes(): number[] {
    return [...this.#attached.keys()];
  }

  get devices(): AttachedDevice[] {
    return [...this.#devices.values()].map((device) => ({
      ifindex: device.ifindex,
      name: device.name,
      class: device.class,
      hooks: [...(this.#attached.get(device.ifindex)?.values() ?? [])].map(({ hook, program, pin }) => ({
        hook,
        program: program ?? '',
        how: hook.startsWith('xdp') ? 'xdp' : pin === undefined ? 'clsact' : 'tcx',
      })),
    }));
  }

  /**
   * Takes over what an earlier agent left: pinned links, or filters on `ifindexes`. Pins of devices that are
   * gone are removed. Nothing is attached or changed yet.
   */
  adopt(ifindexes: readonly number[]): void {
    for (const { pin, hook, ifindex } of this.#links.list()) {
      // The kernel detached it with its device, or it is a second link at one hook.
      if (ifindex === 0 || this.#attached.get(ifindex)?.has(hook)) this.#links.forget(pin);
      else this.#remember(ifindex, { hook, pin, program: undefined });
    }
    if (this.#o.hooks.tcx) return;
    for (const ifindex of ifindexes) {
      for (const direction of ['ingress', 'egress'] as const) {
        const found = this.#attempt(() => this.#o.hooks.findClsact(clsactPlace(ifindex, direction)));
        if (found && OUR_TC_PROGRAMS.includes(found))
          this.#remember(ifindex, { hook: `tc_${direction}`, pin: undefined, program: undefined });
      }
    }
  }

  #remember(ifindex: number, attached: Attached): void {
    const hooks = this.#attached.get(ifindex) ?? new Map<DeviceHook, Attached>();
    hooks.set(attached.hook, attached);
    this.#attached.set(ifindex, hooks);
  }

  /**
   * Makes what is attached match `devices`; cheap when it already does.
   * @param existing every ifindex there is: a vanished device needs its pins removed and no more.
   * @returns whether something failed that may succeed: soon, or when another program leaves a device.
   */
  reconcile(devices: readonly Device[], existing: ReadonlySet<number>): { retry: Retry } {
    const wanted = new Map(devices.map((device) => [device.ifindex, device]));
    for (const [ifindex, hooks] of this.#attached) {
      const keep = wanted.get(ifindex);
      // Translation ends before the restoring of replies does.
      for (const attached of [...hooks.values()].reverse()) {
        if (keep && this.#wants(keep, attached.hook)) continue;
        this.#detach(ifindex, attached, existing.has(ifindex));
      }
    }
    const outcomes = devices.flatMap((device) => [
      this.#ensureTc(device) ? 'no' : 'soon',
      this.#ensureXdp(device),
    ]);
    this.#devices = wanted;
    return { retry: RETRIES.find((retry) => outcomes.includes(retry)) ?? 'no' };
  }

  /** What was attached and is so no longer. */
  findLost(): LostProgram[] {
    const kernel = { hooks: this.#o.hooks, links: this.#links };
    return [...this.#devices.values()].flatMap(({ ifindex, name: device }) =>
      [...(this.#attached.get(ifindex)?.values() ?? [])]
        .filter((attached) => this.#attempt(() => isStillThere(attached, ifindex, kernel)) === false)
        .map(({ hook }) => ({ ifindex, device, hook })),
    );
  }

  /** The next reconcile attaches it anew. */
  forget({ ifindex, hook }: LostProgram): void {
    const hooks = this.#attached.get(ifindex);
    const pin = hooks?.get(hook)?.pin;
    if (pin !== undefined) this.#links.forget(pin);
    hooks?.delete(hook);
  }

  /** 'gone' with its device, or when the device is of another class by now. */
  stateOf({ ifindex, hook }: LostProgram): 'attached' | 'missing' | 'gone' {
    const modes: readonly DeviceHook[] = hook.startsWith('xdp') ? XDP_HOOKS : [hook];
    if (modes.some((mode) => this.#attached.get(ifindex)?.has(mode))) return 'attached';
    const device = this.#devices.get(ifindex);
    return device && this.#wants(device, hook) ? 'missing' : 'gone';
  }

  #wants(device: Device, hook: DeviceHook): boolean {
    if (hook === 'xdp' || hook === 'xdp_generic') return this.#wantsXdp(device);
    return TC_PROGRAMS[device.class] !== undefined;
  }

  /** Without a kind it is a real NIC; native XDP on a veth breaks checksums left to offload. */
  #wantsXdp(device: Device): boolean {
    if (device.class !== 'uplink' || this.#o.xdp === 'off') return false;
    return this.#o.xdp === 'force' || device.kind === undefined;
  }

  #ensureTc(device: Device): boolean {
    const programs = TC_PROGRAMS[device.class];
    if (!programs) return true;
    return (['egress', 'ingress'] as const)
      .map((direction) => this.#ensureTcHook(device, direction, programs[direction]))
      .every((ok) => ok);
  }

  #ensureTcHook(device: Device, direction: TcDirection, programName: string): boolean {
    const hook = `tc_${direction}` as const;
    const { hooks, program } = this.#o;
    if (this.#isCurrent(device, hook, programName)) return true;
    return this.#try(device, hook, programName, () => {
      if (!hooks.tcx) {
        const place = clsactPlace(device.ifindex, direction);
        const there = hooks.findClsact(place);
        if (there !== undefined && !OUR_TC_PROGRAMS.includes(there)) {
          throw new Error(`attach ${programName} to ${device.name}: program ${there} has our place (EEXIST)`);
        }
        hooks.setClsact(place, program(programName));
        this.#remember(device.ifindex, { hook, pin: undefined, program: programName });
        return;
      }
      if (this.#updatePinned(device, hook, programName)) return;
      // First at ingress: nobody has rewritten the packet yet. Last at egress: nobody will after us.
      const position = direction === 'ingress' ? 'first' : 'last';
      const at = { ifindex: device.ifindex, direction, program: program(programName) };
      this.#pin(
        device,
        hook,
        programName,
        this.#held(at, () => hooks.attachTcx({ ...at, position })),
      );
    });
  }

  /**
   * A hook takes a program once. When this very program is there, its link has lost its pin and somebody else holds
   * it open: pinning that one again leaves no gap.
   */
  #held(
    at: Parameters<HookPort<Program>['findTcx']>[0],
    attach: () => LinkHandle<Program>,
  ): LinkHandle<Program> {
    try {
      return attach();
    } catch (error) {
      const there = codeOf(error) === 'EEXIST' && this.#attempt(() => this.#o.hooks.findTcx(at));
      if (there) return there;
      throw error;
    }
  }

  #ensureXdp(device: Device): Retry {
    if (!this.#wantsXdp(device)) return 'no';
    for (const hook of XDP_HOOKS) {
      if (this.#isCurrent(device, hook, XDP_PROGRAM)) return 'no';
    }
    const { hooks, program, xdp, warnings } = this.#o;
    for (const hook of XDP_HOOKS) {
      if (!this.#attached.get(device.ifindex)?.has(hook)) continue;
      return this.#try(device, hook, XDP_PROGRAM, () => this.#updatePinned(device, hook, XDP_PROGRAM))
        ? 'no'
        : 'soon';
    }
    const modes = xdp === 'force' ? (['native', 'generic'] as const) : (['native'] as const);
    for (const mode of modes) {
      try {
        const link = hooks.attachXdp({ ifindex: device.ifindex, program: program(XDP_PROGRAM), mode });
        this.#pin(device, mode === 'native' ? 'xdp' : 'xdp_generic', XDP_PROGRAM, link);
        return 'no';
      } catch (error) {
        // In the same mode, in the other one.
        const isOccupied = ['EBUSY', 'EEXIST'].includes(codeOf(error) ?? '');
        warnings.warn(
          { device: device.name, mode, reason: messageOf(error) },
          isOccupied
            ? 'attach xdp: another XDP program holds the device, trying again. tc serves it; --xdp=off silences this'
            : 'attach xdp: the device does not take it. tc serves it; --xdp=off silences this',
        );
        if (isOccupied) return 'later';
      }
    }
    // The driver's refusal stays, and tc does the same work.
    return 'no';
  }

  #isCurrent(device: Device, hook: DeviceHook, programName: string): boolean {
    return this.#attached.get(device.ifindex)?.get(hook)?.program === programName;
  }

  /** False when there is no link to update, or the one there is dead. */
  #updatePinned(device: Device, hook: DeviceHook, programName: string): boolean {
    const { program, log } = this.#o;
    const hooks = this.#attached.get(device.ifindex);
    const attached = hooks?.get(hook);
    if (attached?.pin === undefined) return false;
    if (!this.#links.update(attached.pin, program(programName))) {
      hooks?.delete(hook);
      return false;
    }
    attached.program = programName;
    log.debug({ device: device.name, hook, program: programName }, 'program replaced on its link');
    return true;
  }

  #pin(device: Device, hook: DeviceHook, programName: string, link: LinkHandle<Program>): void {
    const pin = this.#links.add(link, hook, device);
    this.#remember(device.ifindex, { hook, pin, program: programName });
  }

  #try(device: Device, hook: DeviceHook, programName: string, action: () => void): boolean {
    const { counters, log, warnings } = this.#o;
    try {
      action();
      counters.attaches++;
      return true;
    } catch (error) {
      // Gone before we came: its event is on the way.
      if (codeOf(error) === 'ENODEV') return true;
      counters.attachErrors++;
      warnings.warn(
        { device: device.name, hook, program: programName, reason: messageOf(error) },
        'attach program: failed, trying again. traffic over this device is not balanced meanwhile',
      );
      log.debug({ err: error, device: device.name, hook }, 'attach program');
      return false;
    }
  }

  #detach(ifindex: number, attached: Attached, exists: boolean): void {
    const { hooks, log } = this.#o;
    this.#attempt(() => {
      if (attached.pin !== undefined) {
        if (exists) this.#links.detach(attached.pin);
        else this.#links.forget(attached.pin);
      } else if (exists) {
        hooks.detachClsact(clsactPlace(ifindex, attached.hook === 'tc_ingress' ? 'ingress' : 'egress'));
      }
    });
    if (exists)
      log.info(
        { device: this.#devices.get(ifindex)?.name ?? ifindex, hook: attached.hook },
        'program detached',
      );
    const left = this.#attached.get(ifindex);
    left?.delete(attached.hook);
    if (left?.size === 0) this.#attached.delete(ifindex);
  }

  #attempt<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      this.#o.log.debug({ err: error }, 'look after a hook: failed');
      return undefined;
    }
  }
}
