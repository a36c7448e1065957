import { codeOf } from './errors.js';
import type { HookPort, LinkHandle, PinDirectory } from './hook-port.js';
import type { Logger } from './log.js';
import { type DeviceHook, linkPinName, parseLinkPinName } from './pins.js';

/** A pinned link and what the kernel says it is attached to. */
export interface PinnedLink {
  pin: string;
  hook: DeviceHook;
  /** 0: the kernel has detached it with its device. */
  ifindex: number;
}

/** Links of devices in the pin directory. Handles are never kept: the pin is what holds a link. */
export class PinnedLinks<Program> {
  constructor(
    private readonly hooks: Pick<HookPort<Program>, 'openPinned'>,
    private readonly pins: PinDirectory,
    private readonly log: Logger,
  ) {}

  /** Those of devices; socket hooks and foreign files are passed over. */
  list(): PinnedLink[] {
    const found: PinnedLink[] = [];
    for (const pin of this.pins.list()) {
      const hook = parseLinkPinName(pin)?.hook;
      if (!hook) continue;
      try {
        found.push({ pin, hook, ifindex: this.#with(pin, (link) => link.info.ifindex ?? 0) });
      } catch (error) {
        this.log.warn({ err: error, pin }, 'open pinned link: failed. it is left alone');
      }
    }
    return found;
  }

  /** Pins a new link under the device's name and closes it; the name of the pin. */
  add(link: LinkHandle<Program>, hook: DeviceHook, device: { ifindex: number; name: string }): string {
    try {
      let pin = linkPinName(hook, device.name);
      // The name belongs to a device that has been renamed since.
      if (this.pins.list().includes(pin)) pin = `${pin}:${device.ifindex}`;
      link.pin(this.pins.path(pin));
      return pin;
    } finally {
      // Without a pin the program goes when the link is closed: nothing half-attached stays.
      link.close();
    }
  }

  /** Replaces the program in place. False when the link was dead; its pin is removed then. */
  update(pin: string, program: Program): boolean {
    return this.#with(pin, (link) => {
      if (link.info.ifindex) {
        link.update(program);
        return true;
      }
      this.pins.remove(pin);
      return false;
    });
  }

  /** Whether the pin is there and its link hangs on that device. */
  holds(pin: string, ifindex: number): boolean {
    try {
      return this.#with(pin, (link) => link.info.ifindex === ifindex);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Detaches what is still attached and removes the pin. */
  detach(pin: string): void {
    try {
      this.#with(pin, (link) => link.info.ifindex && link.detach());
    } finally {
      this.pins.remove(pin);
    }
  }

  /** For a link whose device is gone. */
  forget(pin: string): void {
    this.pins.remove(pin);
  }

  #with<T>(pin: string, use: (link: LinkHandle<Program>) => T): T {
    const link = this.hooks.openPinned(this.pins.path(pin));
    try {
      return use(link);
    } finally {
      link.close();
    }
  }
}
