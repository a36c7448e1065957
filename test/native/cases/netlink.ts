import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AddressInfo,
  type LinkInfo,
  type NeighbourInfo,
  Netlink,
  netnsCookie,
  type RouteInfo,
} from '../../../src/native/index.js';
import type { Case } from './context.js';

const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });

/** A device of our own; its other end is in this namespace too. */
const veth = (name: string) => ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-peer`);

async function until(done: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (done()) return;
    await sleep(5);
  }
  assert.fail(`never seen: ${what}`);
}

export const cases: Record<string, Case> = {
  async 'dumps devices with kind, peer, namespace of the peer and master'(context) {
    using netlink = new Netlink({ events: [] });
    ip('link', 'add', 'br0', 'type', 'bridge');
    veth('p0');
    ip('link', 'set', 'p0', 'master', 'br0');
    ip('link', 'add', 'vx0', 'type', 'vxlan', 'id', '5', 'dstport', '4789', 'local', '10.77.0.1');
    ip('link', 'add', 'same0', 'type', 'veth', 'peer', 'name', 'same1');
    ip('link', 'set', 'br0', 'mtu', '1400', 'address', '02:00:00:00:00:aa', 'up');
    const links = new Map((await netlink.dumpLinks()).map((link) => [link.name, link]));
    const device = links.get(context.device);
    assert.equal(device?.kind, 'veth');
    assert.equal(device?.up, true);
    assert.equal(typeof device?.peerIfindex, 'number');
    assert.equal(typeof device?.peerNetnsId, 'number'); // its peer is in another namespace
    assert.equal(links.get('same0')?.peerIfindex, links.get('same1')?.ifindex);
    assert.equal(links.get('same0')?.peerNetnsId, undefined);
    const bridge = links.get('br0');
    assert.equal(bridge?.kind, 'bridge');
    assert.equal(bridge?.mtu, 1400);
    assert.equal(bridge?.mac, '02:00:00:00:00:aa');
    assert.equal(links.get('p0')?.master, bridge?.ifindex);
    assert.equal(links.get('p0')?.slaveKind, 'bridge');
    assert.equal(links.get('p0')?.up, false);
    assert.equal(links.get('vx0')?.kind, 'vxlan');
    assert.equal(links.get('lo')?.kind, undefined);
    assert.equal(links.get('lo')?.deleted, undefined);
  },

  async 'dumps addresses of both families, primary before secondary'(context) {
    using netlink = new Netlink({ events: [] });
    ip('addr', 'add', '10.77.0.9/24', 'dev', context.device);
    ip('addr', 'add', 'fd00:77::1/64', 'dev', context.device, 'nodad');
    const all = await netlink.dumpAddresses();
    const [device] = (await netlink.dumpLinks()).filter(({ name }) => name === context.device);
    const own = all.filter(({ ifindex }) => ifindex === device?.ifindex);
    const v4 = own.filter(({ family }) => family === 4);
    assert.deepEqual(
      v4.map(({ address, prefixLength, scope, flags }) => [address, prefixLength, scope, flags & 1]),
      [
        ['10.77.0.1', 24, 0, 0],
        ['10.77.0.9', 24, 0, 1],
      ],
    );
    assert.ok(
      own.some(({ address, family, scope }) => address === 'fd00:77::1' && family === 6 && scope === 0),
    );
    assert.ok(own.some(({ address, scope }) => address.startsWith('fe80::') && scope === 253));
  },

  async 'dumps routes and neighbours'(context) {
    using netlink = new Netlink({ events: [] });
    ip('route', 'add', 'default', 'via', '10.77.0.2', 'metric', '50');
    ip('route', 'add', '10.88.0.0/16', 'nexthop', 'via', '10.77.0.2', 'nexthop', 'via', '10.77.0.3');
    ip('-6', 'route', 'add', 'fd00:99::/64', 'dev', context.device);
    ip(
      'neigh',
      'add',
      '10.77.0.50',
      'lladdr',
      '02:00:00:00:00:50',
      'dev',
      context.device,
      'nud',
      'permanent',
    );
    const routes = await netlink.dumpRoutes();
    const byDefault = routes.find(({ dst, family }) => dst === undefined && family === 4);
    assert.equal(byDefault?.gateway, '10.77.0.2');
    assert.equal(byDefault?.metric, 50);
    assert.equal(byDefault?.prefixLength, 0);
    assert.equal(byDefault?.table, 254);
    assert.equal(byDefault?.type, 1);
    const multipath = routes.find(({ dst }) => dst === '10.88.0.0');
    assert.deepEqual(
      multipath?.nextHops?.map(({ gateway }) => gateway),
      ['10.77.0.2', '10.77.0.3'],
    );
    assert.ok(routes.some(({ dst, prefixLength }) => dst === 'fd00:99::' && prefixLength === 64));
    assert.ok(routes.some(({ dst, table, type }) => dst === '10.77.0.1' && table === 255 && type === 2));
    const neighbour = (await netlink.dumpNeighbours()).find(({ address }) => address === '10.77.0.50');
    assert.equal(neighbour?.mac, '02:00:00:00:00:50');
    assert.equal(neighbour?.state, 0x80);
  },

  async 'reports what appears, changes and goes, in order'() {
    using netlink = new Netlink();
    const links: LinkInfo[] = [];
    const addresses: AddressInfo[] = [];
    const routes: RouteInfo[] = [];
    const neighbours: NeighbourInfo[] = [];
    netlink.on('link', (info) => links.push(info));
    netlink.on('address', (info) => addresses.push(info));
    netlink.on('route', (info) => routes.push(info));
    netlink.on('neighbour', (info) => neighbours.push(info));
    veth('ev0');
    ip('link', 'set', 'ev0', 'up');
    ip('addr', 'add', '10.66.0.1/24', 'dev', 'ev0');
    ip('route', 'add', '10.67.0.0/16', 'via', '10.66.0.2');
    ip('neigh', 'add', '10.66.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'ev0', 'nud', 'permanent');
    ip('neigh', 'del', '10.66.0.2', 'dev', 'ev0');
    ip('addr', 'del', '10.66.0.1/24', 'dev', 'ev0');
    ip('link', 'del', 'ev0');
    const own = () => links.filter(({ name }) => name === 'ev0');
    await until(() => own().some(({ deleted }) => deleted === true), 'deletion of ev0');
    assert.equal(own()[0]?.up, false);
    assert.equal(own()[0]?.kind, 'veth');
    assert.ok(own().some(({ up, deleted }) => up && !deleted));
    assert.equal(own().at(-1)?.deleted, true);
    const address = addresses.filter((info) => info.address === '10.66.0.1');
    assert.deepEqual(
      address.map(({ deleted }) => deleted),
      [undefined, true],
    );
    const route = routes.filter(({ dst }) => dst === '10.67.0.0');
    assert.equal(route[0]?.gateway, '10.66.0.2');
    // The kernel removes routes with their device, some without an event; this one had one while it lived.
    assert.equal(route[0]?.deleted, undefined);
    const neighbour = neighbours.filter((info) => info.address === '10.66.0.2');
    assert.equal(neighbour[0]?.mac, '02:00:00:00:00:02');
    assert.equal(neighbour.at(-1)?.deleted, true);
  },

  async 'a port leaving its bridge is no deleted device'() {
    using netlink = new Netlink({ events: ['link'] });
    const links: LinkInfo[] = [];
    ip('link', 'add', 'br1', 'type', 'bridge');
    veth('p1');
    netlink.on('link', (info) => links.push(info));
    ip('link', 'set', 'p1', 'master', 'br1');
    const own = () => links.filter(({ name }) => name === 'p1');
    await until(() => own().some(({ master }) => master !== undefined), 'p1 as a port');
    ip('link', 'set', 'p1', 'nomaster');
    await until(() => own().at(-1)?.master === undefined, 'p1 on its own');
    assert.ok(own().every(({ deleted }) => deleted === undefined));
    assert.ok(own().every(({ kind }) => kind === 'veth'));
  },

  async 'a listener that was overrun is told to dump again'() {
    using netlink = new Netlink({ events: ['neighbour'], receiveBufferBytes: 4096 });
    let overflows = 0;
    netlink.on('overflow', () => overflows++);
    veth('ov0');
    ip('link', 'set', 'ov0', 'up');
    const batch = Array.from(
      { length: 250 },
      (_, i) => `neigh add 10.5.0.${i} lladdr 02:00:00:00:00:02 dev ov0 nud permanent`,
    ).join('\n');
    // Synchronous: the event loop does not read meanwhile.
    execFileSync('ip', ['-batch', '-'], { input: batch });
    await until(() => overflows > 0, 'overflow');
    const known = (await netlink.dumpNeighbours()).filter(({ address }) => address.startsWith('10.5.0.'));
    assert.equal(known.length, 250);
  },

  async 'dumps stay consistent while the table changes'() {
    using netlink = new Netlink({ events: [] });
    const { spawn } = await import('node:child_process');
    const churn = spawn('sh', [
      '-c',
      'for i in $(seq 40); do ip link add ch0 type veth peer name ch1; ip link del ch0; done',
    ]);
    const done = new Promise((resolve) => churn.on('exit', resolve));
    let ended = false;
    void done.then(() => {
      ended = true;
    });
    while (!ended) {
      const names = (await netlink.dumpLinks()).map(({ name }) => name);
      assert.equal(new Set(names).size, names.length);
      assert.ok(names.includes('lo'));
    }
  },

  async 'close() ends events and releases the socket; the namespace has a cookie of its own'() {
    const sockets = () => readdirSync('/proc/self/fd').length;
    const before = sockets();
    const netlink = new Netlink();
    let seen = 0;
    netlink.on('link', () => {
      seen++;
      netlink.close();
    });
    veth('cl0');
    veth('cl1');
    await until(() => seen > 0, 'an event');
    await sleep(30);
    assert.equal(seen, 1);
    netlink.close();
    assert.equal(netlink.closed, true);
    await assert.rejects(netlink.dumpLinks(), /use rtnetlink: it is closed \(EBADF\)/);
    assert.equal(sockets(), before);
    assert.ok(netnsCookie() > 1n);
  },
};
