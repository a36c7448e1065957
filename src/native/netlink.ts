import { EventEmitter } from 'node:events';
import { addon, type NativeNetlink } from './addon.js';
import { checkChoice, checkInteger, checkOptions } from './options.js';

export interface LinkInfo {
  ifindex: number;
  name: string;
  /** `IFLA_INFO_KIND`: 'veth', 'vxlan', 'bridge', ...; absent for hardware and lo. */
  kind?: string;
  /** Kind of the master this device is a port of. */
  slaveKind?: string;
  /** `IFF_*`. */
  flags: number;
  /** `IFF_UP`. */
  up: boolean;
  /** RFC 2863; 6 is up. */
  operState: number;
  mtu: number;
  /** Link-layer address, colon-separated; '' where there is none. */
  mac: string;
  /** ifindex of the bridge, bond or VRF it is a port of. */
  master?: number;
  /** `IFLA_LINK`: the peer of a veth, the device under a VLAN or tunnel. In another namespace when `peerNetnsId` is set. */
  peerIfindex?: number;
  /** `IFLA_LINK_NETNSID`. */
  peerNetnsId?: number;
  deleted?: true;
}

export interface AddressInfo {
  ifindex: number;
  family: 4 | 6;
  /** This end of a point-to-point pair. */
  address: string;
  peer?: string;
  label?: string;
  prefixLength: number;
  /** `RT_SCOPE_*`: 0 global, 253 link, 254 host. */
  scope: number;
  /** `IFA_F_*`: 1 secondary, 0x40 tentative, ... */
  flags: number;
  deleted?: true;
}

export interface NeighbourInfo {
  ifindex: number;
  family: 4 | 6;
  address: string;
  mac?: string;
  /** `NUD_*`. */
  state: number;
  deleted?: true;
}

export interface RouteInfo {
  family: 4 | 6;
  /** Absent for the default route. */
  dst?: string;
  prefixLength: number;
  oif?: number;
  gateway?: string;
  /** `RTA_PREFSRC`. */
  source?: string;
  /** Of a multipath route. */
  nextHops?: { oif: number; gateway?: string }[];
  /** 254 main, 255 local. */
  table: number;
  /** `RTN_*`: 1 unicast, 2 local, ... */
  type: number;
  scope: number;
  protocol: number;
  metric: number;
  deleted?: true;
}

interface NetlinkEvents {
  link: [LinkInfo];
  address: [AddressInfo];
  neighbour: [NeighbourInfo];
  route: [RouteInfo];
  /** Events were lost: dump again whatever matters. */
  overflow: [];
}

export type NetlinkEvent = 'link' | 'address' | 'neighbour' | 'route';

/** `enum rtnetlink_groups`. */
const GROUPS: Record<NetlinkEvent, number[]> = {
  link: [1],
  neighbour: [3],
  address: [5, 9],
  route: [7, 11],
};

export interface NetlinkOptions {
  /** What to listen to, default everything; `[]` for dumps alone. */
  events?: NetlinkEvent[];
  /** Default 4 MiB; what does not fit is lost and ends in 'overflow'. */
  receiveBufferBytes?: number;
}

/**
 * rtnetlink of the network namespace in which this is made. Events are collected from construction on, so
 * listening first and dumping then misses nothing; an entry may then arrive both ways.
 * `deleted` marks removals. Keeps the process alive while it listens, until {@link unref}.
 */
export class Netlink extends EventEmitter<NetlinkEvents> implements Disposable {
  private readonly handle: NativeNetlink;

  constructor(options: NetlinkOptions = {}) {
    super();
    checkOptions('Netlink', options, ['events', 'receiveBufferBytes']);
    const kinds = Object.keys(GROUPS) as NetlinkEvent[];
    const events = options.events ?? kinds;
    const groups = events.flatMap((event) => GROUPS[checkChoice('Netlink', 'events', event, kinds)]);
    const bytes = checkInteger(
      'Netlink',
      'receiveBufferBytes',
      options.receiveBufferBytes ?? 4 << 20,
      4096,
      1 << 30,
    );
    const NetlinkClass = addon().Netlink;
    this.handle = new NetlinkClass(groups, (records, overflow) => this.deliver(records, overflow), bytes);
    if (events.length === 0) this.unref();
  }

  private deliver(records: { event: string }[], overflow: boolean): void {
    for (const { event, ...info } of records) {
      if (this.closed) return;
      try {
        this.emit(event as NetlinkEvent, ...([info] as unknown as [never]));
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    if (overflow && !this.closed) this.emit('overflow');
  }

  /** All devices. Repeated inside while the table changes under it, so the result is consistent. */
  dumpLinks(): Promise<LinkInfo[]> {
    return this.dump('links');
  }

  /** All IPv4 and IPv6 addresses, in the kernel's order: primary before secondary on each device. */
  dumpAddresses(): Promise<AddressInfo[]> {
    return this.dump('addresses');
  }

  /** All IPv4 and IPv6 neighbours (no bridge forwarding entries). */
  dumpNeighbours(): Promise<NeighbourInfo[]> {
    return this.dump('neighbours');
  }

  /** All IPv4 and IPv6 routes of all tables, without cached ones. */
  dumpRoutes(): Promise<RouteInfo[]> {
    return this.dump('routes');
  }

  private async dump<T>(what: 'links' | 'addresses' | 'neighbours' | 'routes'): Promise<T[]> {
    const records = (await this.handle.dump(what)) as { event?: string }[];
    for (const record of records) delete record.event;
    return records as T[];
  }

  ref(): this {
    this.handle.setRef(true);
    return this;
  }

  /** Lets the process end while this listens. */
  unref(): this {
    this.handle.setRef(false);
    return this;
  }

  get closed(): boolean {
    return this.handle.closed;
  }

  /** No event is delivered after this. Idempotent. */
  close(): void {
    this.handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
