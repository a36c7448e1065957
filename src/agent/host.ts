import { type AddressFacts, type LinkFacts, type RouteFacts, routeDevices } from './devices.js';
import type { Logger } from './log.js';

/** What became different; several at once when events came together. */
export type HostChange = 'link' | 'address' | 'route' | 'neighbour';

type Event<T> = T & { deleted?: boolean };

/** A subset of src/native's NeighbourInfo. */
export interface NeighbourFacts {
  ifindex: number;
  address: string;
  mac?: string;
  /** NUD_* bits. */
  state: number;
}

/** RouteFacts with what tells two default routes apart. */
export interface RouteEventFacts extends RouteFacts {
  gateway?: string;
  table: number;
  metric: number;
}

/** The part of src/native's Netlink that the agent uses. */
export interface NetlinkPort {
  dumpLinks(): Promise<LinkFacts[]>;
  dumpAddresses(): Promise<AddressFacts[]>;
  dumpRoutes(): Promise<RouteEventFacts[]>;
  dumpNeighbours(): Promise<NeighbourFacts[]>;
  onLink(callback: (link: Event<LinkFacts>) => void): void;
  onAddress(callback: (address: Event<AddressFacts>) => void): void;
  onRoute(callback: (route: Event<RouteEventFacts>) => void): void;
  onNeighbour(callback: (neighbour: Event<NeighbourFacts>) => void): void;
  /** Events were lost: everything has to be dumped again. */
  onOverflow(callback: () => void): void;
  close(): void;
}

export interface HostWatchOptions {
  netlink: NetlinkPort;
  log: Logger;
  /** Called once with everything after start(), then after changes, merged for `mergeMs`. */
  onChange: (changes: ReadonlySet<HostChange>) => void;
  /** Called when lost events made a new dump necessary. */
  onResync?: () => void;
  mergeMs?: number;
}

const NUD_FAILED = 0x20;
const RETRY_MS = 1000;

/**
 * Links, addresses and default routes of this network namespace, kept current by netlink events. Subscribed
 * first and dumped then, so nothing can happen in between: what arrives during a dump is replayed on top.
 */
export class HostWatch {
  readonly #netlink: NetlinkPort;
  readonly #log: Logger;
  readonly #onChange: HostWatchOptions['onChange'];
  readonly #onResync: () => void;
  readonly #mergeMs: number;
  readonly #links = new Map<number, LinkFacts>();
  readonly #addresses = new Map<string, AddressFacts>();
  readonly #defaultRoutes = new Map<string, RouteEventFacts>();
  readonly #macs = new Map<string, string | undefined>();
  readonly #changed = new Set<HostChange>();
  #replay: (() => void)[] | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #dumping: Promise<void> = Promise.resolve();
  #linksDirty = false;
  #closed = false;

  constructor(options: HostWatchOptions) {
    this.#netlink = options.netlink;
    this.#log = options.log;
    this.#onChange = options.onChange;
    this.#onResync = options.onResync ?? (() => {});
    this.#mergeMs = options.mergeMs ?? 3;
  }

  get links(): LinkFacts[] {
    return [...this.#links.values()];
  }

  /** In the order the kernel lists them: the first of a device and family is its primary one. */
  get addresses(): AddressFacts[] {
    return [...this.#addresses.values()];
  }

  get defaultRoutes(): RouteEventFacts[] {
    return [...this.#defaultRoutes.values()].sort((a, b) => a.metric - b.metric);
  }

  /** Resolves when everything has been read once and onChange was called. @throws what the dump throws. */
  async start(): Promise<void> {
    this.#netlink.onLink((link) => this.#event(() => this.#applyLink(link)));
    this.#netlink.onAddress((address) => this.#event(() => this.#applyAddress(address)));
    this.#netlink.onRoute((route) => this.#event(() => this.#applyRoute(route)));
    this.#netlink.onNeighbour((neighbour) => this.#event(() => this.#applyNeighbour(neighbour)));
    this.#netlink.onOverflow(() => {
      this.#log.warn('netlink events were lost, reading links, addresses and routes again');
      this.#onResync();
      void this.#resync();
    });
    await this.#dump('everything');
    this.#flush();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#netlink.close();
  }

  #event(apply: () => void): void {
    if (this.#closed) return;
    if (this.#replay) this.#replay.push(apply);
    else apply();
  }

  async #resync(what: 'links' | 'everything' = 'everything'): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#dump(what);
      this.#flush();
    } catch (error) {
      if (this.#closed) return;
      this.#log.error({ err: error }, 'read links and addresses: failed. trying again in a second');
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => void this.#resync(), RETRY_MS);
    }
  }

  #dump(what: 'links' | 'everything'): Promise<void> {
    // One after the other: a second dump begins after the first, so it has what the overflow lost.
    const next = this.#dumping.then(() => this.#dumpOnce(what));
    this.#dumping = next.catch(() => {});
    return next;
  }

  async #dumpOnce(what: 'links' | 'everything'): Promise<void> {
    if (this.#closed) return;
    this.#replay = [];
    try {
      const links = await this.#netlink.dumpLinks();
      if (what === 'links') {
        this.#links.clear();
        for (const link of links) this.#links.set(link.ifindex, link);
        this.#changed.add('link');
        return;
      }
      const addresses = await this.#netlink.dumpAddresses();
      const routes = await this.#netlink.dumpRoutes();
      const neighbours = await this.#netlink.dumpNeighbours();
      for (const map of [this.#links, this.#addresses, this.#defaultRoutes, this.#macs]) map.clear();
      for (const link of links) this.#links.set(link.ifindex, link);
      for (const address of addresses) this.#addresses.set(addressKey(address), address);
      for (const route of routes) if (isDefault(route)) this.#defaultRoutes.set(routeKey(route), route);
      for (const neighbour of neighbours) this.#macs.set(neighbourKey(neighbour), macOf(neighbour));
      for (const kind of ['link', 'address', 'route', 'neighbour'] as const) this.#changed.add(kind);
    } finally {
      const replay = this.#replay ?? [];
      this.#replay = undefined;
      for (const apply of replay) apply();
    }
  }

  #applyLink(link: Event<LinkFacts>): void {
    if (link.deleted) {
      this.#links.delete(link.ifindex);
      for (const [key, address] of this.#addresses) {
        if (address.ifindex === link.ifindex) this.#addresses.delete(key);
      }
      // The other end of a veth that moved into a pod gets no event of its own for that.
      if (link.kind === 'veth' || link.kind === undefined) this.#linksDirty = true;
    } else {
      const known = this.#links.get(link.ifindex);
      if (known && sameLink(known, link)) return;
      this.#links.set(link.ifindex, link);
    }
    this.#mark('link');
  }

  #applyAddress(address: Event<AddressFacts>): void {
    const key = addressKey(address);
    if (address.deleted) {
      if (!this.#addresses.delete(key)) return;
    } else {
      const known = this.#addresses.get(key);
      if (known && known.flags === address.flags && known.scope === address.scope) return;
      this.#addresses.set(key, address);
    }
    this.#mark('address');
  }

  #applyRoute(route: Event<RouteEventFacts>): void {
    if (isDefault(route)) {
      if (route.deleted) this.#defaultRoutes.delete(routeKey(route));
      else this.#defaultRoutes.set(routeKey(route), route);
    }
    this.#mark('route');
  }

  /** Ageing (REACHABLE, STALE, PROBE, ...) changes no packet's way; another MAC or a failure does. */
  #applyNeighbour(neighbour: Event<NeighbourFacts>): void {
    const key = neighbourKey(neighbour);
    const known = this.#macs.get(key);
    const mac = neighbour.deleted ? undefined : macOf(neighbour);
    if (neighbour.deleted) this.#macs.delete(key);
    else this.#macs.set(key, mac);
    // Nobody can have cached a neighbour that had no address yet.
    if (known !== undefined && known !== mac) this.#mark('neighbour');
  }

  #mark(change: HostChange): void {
    this.#changed.add(change);
    if (this.#timer || this.#replay) return;
    this.#timer = setTimeout(() => this.#flush(), this.#mergeMs);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#closed) return;
    if (this.#linksDirty) {
      this.#linksDirty = false;
      void this.#resync('links');
    }
    if (this.#changed.size === 0) return;
    const changes = new Set(this.#changed);
    this.#changed.clear();
    this.#onChange(changes);
  }
}

function isDefault(route: RouteFacts): boolean {
  return route.prefixLength === 0;
}

function routeKey(route: RouteEventFacts): string {
  const { family, table, gateway = '', metric, type } = route;
  return [family, table, routeDevices(route).join(','), gateway, metric, type].join('/');
}

function addressKey(address: AddressFacts): string {
  return `${address.ifindex}/${address.address}/${address.prefixLength}`;
}

function neighbourKey(neighbour: NeighbourFacts): string {
  return `${neighbour.ifindex}/${neighbour.address}`;
}

function macOf(neighbour: NeighbourFacts): string | undefined {
  return neighbour.state & NUD_FAILED ? undefined : neighbour.mac;
}

function sameLink(a: LinkFacts, b: LinkFacts): boolean {
  return (
    a.name === b.name &&
    a.kind === b.kind &&
    a.flags === b.flags &&
    a.up === b.up &&
    a.mtu === b.mtu &&
    a.master === b.master &&
    a.peerNetnsId === b.peerNetnsId
  );
}
