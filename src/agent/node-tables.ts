import {
  type Abi,
  DEVICE_BRIDGE,
  DEVICE_LAYER3,
  DEVICE_LOOPBACK,
  DEVICE_OVERLAY,
  DEVICE_POD,
  DEVICE_UPLINK,
  DRAIN_FILLING,
  type MapKey,
  type MapName,
  type MapValue,
} from '../abi/index.js';
import type { ConfigWords } from '../datapath/config.js';
import type { MapByName } from '../datapath/handles.js';
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
  /**
   * Nothing is begun until `beginFlows()`: half-filled tables would refuse what another load balancer on this
   * node still serves. Flows that exist go on.
   */
  holdFlows(): void;
  /** Ends `holdFlows()`; a drain that the operator asked for goes on. */
  beginFlows(): void;
}

const NO_MAC = '00:00:00:00:00:00';

const CLASS_VALUES: Record<DeviceClass, number> = {
  pod: DEVICE_POD,
  overlay: DEVICE_OVERLAY,
  uplink: DEVICE_UPLINK,
  bridge: DEVICE_BRIDGE,
  loopback: DEVICE_LOOPBACK,
  layer3: DEVICE_LAYER3,
};

/** The tables in the kernel. */
export class KernelNodeTables implements NodeTables {
  readonly #devices: Mirror<'lb_devices'>;
  readonly #snat: Mirror<'snat_sources'>;
  readonly #xdp: Mirror<'xdp_devices'>;
  readonly #config: ConfigWords;
  readonly #now: () => bigint;

  /** @param now CLOCK_MONOTONIC in nanoseconds. */
  constructor(options: { abi: Abi; map: MapByName; config: ConfigWords; now: () => bigint }) {
    const { abi, map, config, now } = options;
    this.#devices = new Mirror(abi, map, 'lb_devices');
    this.#snat = new Mirror(abi, map, 'snat_sources');
    this.#xdp = new Mirror(abi, map, 'xdp_devices');
    this.#config = config;
    this.#now = now;
  }

  readDevices(): Map<number, DeviceClass> {
    const classes = new Map(
      Object.entries(CLASS_VALUES).map(([name, value]) => [value, name as DeviceClass]),
    );
    const result = new Map<number, DeviceClass>();
    for (const [ifindex, { class_ }] of this.#devices.read()) {
      const deviceClass = classes.get(class_);
      if (deviceClass) result.set(ifindex, deviceClass);
    }
    return result;
  }

  setDevices(devices: readonly Device[]): void {
    this.#devices.write(
      devices.map((d) => [
        d.ifindex,
        {
          ...{ class_: CLASS_VALUES[d.class], mtu: d.mtu, netns: d.netns ?? 0, bridge: d.bridge ?? 0 },
          mac: Uint8Array.from((d.mac ?? NO_MAC).split(':'), (byte) => Number.parseInt(byte, 16)),
        },
      ]),
    );
  }

  setSnatSources(sources: readonly SnatSource[]): void {
    this.#snat.write(sources.map(({ ifindex, family, address }) => [{ ifindex, family }, { addr: address }]));
  }

  setXdpDevices(ifindexes: readonly number[]): void {
    this.#xdp.write(ifindexes.map((ifindex) => [ifindex, ifindex]));
  }

  raiseFibGeneration(): void {
    this.#config.raiseFibGeneration();
  }

  heartbeat(): void {
    this.#config.set('agent_seen_ns', this.#now());
  }

  setTakeover(seconds: number): void {
    this.#config.set('takeover_until_ns', this.#now() + BigInt(Math.round(seconds * 1e9)));
  }

  holdFlows(): void {
    if (this.#config.get('drain') === 0n) this.#config.set('drain', BigInt(DRAIN_FILLING));
  }

  beginFlows(): void {
    if (this.#config.get('drain') === BigInt(DRAIN_FILLING)) this.#config.set('drain', 0n);
  }
}

/** A small hash map of which the agent knows every entry: writes put and delete what differs. */
class Mirror<M extends MapName> {
  readonly #map: ReturnType<MapByName>;
  readonly #codec: ReturnType<typeof codecOf<M>>;
  /** Key and value as text; undefined before the first write, when another agent's entries may be there. */
  #known: Map<string, { key: Uint8Array; value: string }> | undefined;

  constructor(abi: Abi, map: MapByName, name: M) {
    this.#map = map(name);
    this.#codec = codecOf(abi, name);
  }

  *read(): IterableIterator<[MapKey<M>, MapValue<M>]> {
    const { key: keys, value: values } = this.#codec;
    for (const [key, value] of this.#map.entries()) yield [keys.decode(key), values.decode(value)];
  }

  /** The whole content from now on. What fails is tried again with the next write. */
  write(entries: readonly (readonly [MapKey<M>, MapValue<M>])[]): void {
    const known = this.#known ?? this.#readRaw();
    this.#known = undefined;
    const wanted = new Set<string>();
    for (const [key, value] of entries) {
      const keyBytes = this.#codec.key.encode(key);
      const valueBytes = this.#codec.value.encode(value);
      const keyText = textOf(keyBytes);
      wanted.add(keyText);
      if (known.get(keyText)?.value === textOf(valueBytes)) continue;
      this.#map.update(keyBytes, valueBytes);
      known.set(keyText, { key: keyBytes, value: textOf(valueBytes) });
    }
    for (const [keyText, { key }] of known) {
      if (wanted.has(keyText)) continue;
      this.#map.delete(key);
      known.delete(keyText);
    }
    this.#known = known;
  }

  #readRaw(): Map<string, { key: Uint8Array; value: string }> {
    const found = new Map<string, { key: Uint8Array; value: string }>();
    for (const [key, value] of this.#map.entries()) {
      found.set(textOf(key), { key: Uint8Array.from(key), value: textOf(value) });
    }
    return found;
  }
}

function codecOf<M extends MapName>(abi: Abi, name: M) {
  return abi.map(name);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
