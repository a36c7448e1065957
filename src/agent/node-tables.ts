import type { SnatSource } from './addresses.js';
import type { Device, DeviceClass } from './devices.js';

/** The maps about this node and its devices, which follow netlink and not the Services. */
export interface NodeTables {
  /** Class by ifindex, as an earlier agent left it. */
  readDevices(): Map<number, DeviceClass>;
  setDevices(devices: readonly Device[]): void;
  setSnatSources(sources: readonly SnatSource[]): void;
  /** Devices that XDP may redirect to. */
  setXdpDevices(ifindexes: readonly number[]): void;
  /** Makes every cached next hop worthless. */
  raiseFibGeneration(): void;
  /** "An agent is alive", for the CLI. */
  heartbeat(): void;
  /** Until then TCP that Shunt does not know is handed up untranslated. */
  setTakeover(seconds: number): void;
}
