import { pino } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { LinkFacts } from '../../../src/agent/devices.js';
import { type HostChange, HostWatch, type NetlinkPort } from '../../../src/agent/host.js';

const log = pino({ level: 'silent' });

/** A kernel whose tables the test edits; dumps are answered when the test says so. */
class FakeNetlink implements NetlinkPort {
  links: LinkFacts[] = [];
  gate: Promise<void> = Promise.resolve();
  closed = false;
  dumps = 0;
  callbacks: Record<string, (value: never) => void> = {};

  async dumpLinks() {
    this.dumps++;
    const links = [...this.links];
    await this.gate;
    return links;
  }
  dumpAddresses = async () => [];
  dumpRoutes = async () => [];
  dumpNeighbours = async () => [];
  onLink = (callback: (value: never) => void) => this.#on('link', callback);
  onAddress = (callback: (value: never) => void) => this.#on('address', callback);
  onRoute = (callback: (value: never) => void) => this.#on('route', callback);
  onNeighbour = (callback: (value: never) => void) => this.#on('neighbour', callback);
  onOverflow = (callback: () => void) => this.#on('overflow', callback);
  close() {
    this.closed = true;
  }
  emit(kind: string, value?: unknown) {
    this.callbacks[kind]?.(value as never);
  }
  #on(kind: string, callback: (value: never) => void) {
    this.callbacks[kind] = callback;
  }
}

const link = (ifindex: number, name: string, more: Partial<LinkFacts> = {}): LinkFacts => ({
  ifindex,
  name,
  flags: 1,
  up: true,
  mtu: 1500,
  ...more,
});

function setup(links: LinkFacts[] = []) {
  const netlink = new FakeNetlink();
  netlink.links = links;
  const seen: string[] = [];
  const onChange = (changes: ReadonlySet<HostChange>) => seen.push([...changes].sort().join('+'));
  const host = new HostWatch({ netlink, log, onChange, mergeMs: 1 });
  return { netlink, host, seen, names: () => host.links.map((l) => l.name) };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 10));

afterEach(() => vi.restoreAllMocks());

describe('HostWatch', () => {
  it('reports everything once after the first dump', async () => {
    const { host, seen, names } = setup([link(1, 'lo'), link(2, 'eth0')]);
    await host.start();
    expect(names()).toEqual(['lo', 'eth0']);
    expect(seen).toEqual(['address+link+neighbour+route']);
    host.close();
  });

  it('replays what arrived during the dump on top of it', async () => {
    const { netlink, host, names } = setup([link(1, 'lo'), link(2, 'old')]);
    let open = () => {};
    netlink.gate = new Promise((resolve) => {
      open = resolve;
    });
    const started = host.start();
    await settle();
    netlink.emit('link', link(3, 'veth1'));
    netlink.emit('link', { ...link(2, 'old'), deleted: true });
    open();
    await started;
    expect(names()).toEqual(['lo', 'veth1']);
    host.close();
  });

  it('merges a burst into one call and stays silent about what changes nothing', async () => {
    const { netlink, host, seen } = setup([link(2, 'eth0')]);
    await host.start();
    netlink.emit('link', link(3, 'veth1'));
    netlink.emit('link', link(3, 'veth1', { mtu: 1450 }));
    netlink.emit('address', {
      ifindex: 3,
      family: 4,
      address: '10.0.0.1',
      prefixLength: 32,
      scope: 0,
      flags: 0,
    });
    await settle();
    netlink.emit('link', link(3, 'veth1', { mtu: 1450 }));
    await settle();
    expect(seen.slice(1)).toEqual(['address+link']);
    host.close();
  });

  it('reads links again when a veth goes away, since its other end is told nothing', async () => {
    const { netlink, host } = setup([link(5, 'veth1', { kind: 'veth' }), link(6, 'tmp', { kind: 'veth' })]);
    await host.start();
    netlink.links = [link(5, 'veth1', { kind: 'veth', peerNetnsId: 2 })];
    netlink.emit('link', { ...link(6, 'tmp', { kind: 'veth' }), deleted: true });
    await settle();
    expect(host.links).toEqual([link(5, 'veth1', { kind: 'veth', peerNetnsId: 2 })]);
    host.close();
  });

  it('dumps again after an overflow', async () => {
    const { netlink, host, names } = setup([link(2, 'eth0')]);
    await host.start();
    netlink.links = [link(9, 'eth9')];
    netlink.emit('overflow');
    await settle();
    expect(names()).toEqual(['eth9']);
    host.close();
    expect(netlink.closed).toBe(true);
  });

  it('counts a neighbour only when its MAC changes or it fails', async () => {
    const { netlink, host, seen } = setup();
    await host.start();
    const neighbour = { ifindex: 2, address: '10.0.0.2', mac: '02:00:00:00:00:01', state: 2 };
    netlink.emit('neighbour', neighbour);
    netlink.emit('neighbour', { ...neighbour, state: 4 });
    await settle();
    expect(seen.slice(1)).toEqual([]);
    netlink.emit('neighbour', { ...neighbour, mac: '02:00:00:00:00:02' });
    await settle();
    netlink.emit('neighbour', { ...neighbour, mac: '02:00:00:00:00:02', state: 0x20 });
    await settle();
    expect(seen.slice(1)).toEqual(['neighbour', 'neighbour']);
    host.close();
  });

  it('forgets the addresses of a link that vanished', async () => {
    const { netlink, host } = setup([link(2, 'eth0')]);
    await host.start();
    netlink.emit('address', {
      ifindex: 2,
      family: 4,
      address: '10.0.0.1',
      prefixLength: 24,
      scope: 0,
      flags: 0,
    });
    netlink.emit('link', { ...link(2, 'eth0'), deleted: true });
    expect(host.addresses).toEqual([]);
    host.close();
  });
});
