import { pino } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { NodeAddress, SnatSource } from '../../../src/agent/addresses.js';
import type { Retry } from '../../../src/agent/attach.js';
import type { LostProgram } from '../../../src/agent/attached.js';
import { newCounters } from '../../../src/agent/counters.js';
import type { AddressFacts, Device, DeviceClass, LinkFacts } from '../../../src/agent/devices.js';
import type { HostChange, RouteEventFacts } from '../../../src/agent/host.js';
import type { NodeTables } from '../../../src/agent/node-tables.js';
import { NodeWatch } from '../../../src/agent/node-watch.js';
import type { Change, NodeObject } from '../../../src/model/objects.js';

const LINK = new Set<HostChange>(['link']);

class FakeTables implements NodeTables {
  devices = new Map<number, DeviceClass>();
  snat: string[] = [];
  xdp: number[] = [];
  generation = 0;
  readDevices = () => new Map(this.devices);
  setDevices(devices: readonly Device[]) {
    this.devices = new Map(devices.map((d) => [d.ifindex, d.class]));
  }
  setSnatSources(sources: readonly SnatSource[]) {
    this.snat = sources.map((s) => `${s.ifindex} ${s.address}`);
  }
  setXdpDevices(ifindexes: readonly number[]) {
    this.xdp = [...ifindexes];
  }
  raiseFibGeneration = () => void this.generation++;
  heartbeat = () => {};
  setTakeover = () => {};
  holdFlows = () => {};
  beginFlows = () => {};
}

function setup() {
  const host = {
    links: [] as LinkFacts[],
    addresses: [] as AddressFacts[],
    defaultRoutes: [] as RouteEventFacts[],
  };
  const tables = new FakeTables();
  const attached: string[] = [];
  const state = { retries: [] as Retry[], rest: 'no' as Retry, adopted: [] as number[] };
  const attacher = {
    adopt: () => {},
    get ifindexes() {
      return state.adopted;
    },
    xdpDevices: [2],
    reconcile(devices: readonly Device[], existing: ReadonlySet<number>) {
      // The tables must know a device before a program of its can ask.
      for (const device of devices)
        if (!tables.devices.has(device.ifindex)) throw new Error('unknown device');
      attached.push(`${devices.map((d) => `${d.name} ${d.class}`).join(', ')} of ${existing.size}`);
      return { retry: state.retries.shift() ?? state.rest };
    },
    forget: ({ hook, device }: LostProgram) => void attached.push(`forget ${hook}@${device}`),
  };
  const addresses: NodeAddress[][] = [];
  const node = new NodeWatch({
    options: {
      nodeName: 'node1',
      devices: { ignore: [], pod: [], uplink: [], overlay: [] },
      nodePortAddresses: [],
    },
    host,
    attacher,
    tables,
    counters: newCounters(),
    log: pino({ level: 'silent' }),
    onAddresses: (list) => addresses.push(list),
  });
  return { host, tables, attached, node, addresses, state };
}

const link = (ifindex: number, name: string, more: Partial<LinkFacts> = {}): LinkFacts => ({
  ifindex,
  name,
  flags: 1,
  up: true,
  mtu: 1500,
  ...more,
});
const eth0 = link(2, 'eth0', { kind: 'veth', peerNetnsId: 0 });
const eth0Address: AddressFacts = {
  ifindex: 2,
  family: 4,
  address: '10.0.0.1',
  prefixLength: 24,
  scope: 0,
  flags: 0,
};
const nodeChange = (name: string, internalIPs: string[]): Change => ({
  kind: 'Node',
  key: name,
  object: { name, internalIPs } as NodeObject,
});
describe('NodeWatch', () => {
  afterEach(() => void vi.useRealTimers());

  it('attaches nothing before the Node is known, so that an uplink is not taken for a pod', () => {
    const { host, node, attached, tables } = setup();
    host.links = [eth0];
    host.addresses = [eth0Address];
    node.hostChanged(LINK);
    node.objectsChanged([nodeChange('node2', ['10.0.0.2'])]);
    expect(attached).toEqual([]);
    expect(tables.generation).toBe(1);
    node.objectsChanged([nodeChange('node1', ['10.0.0.1'])]);
    expect(attached).toEqual(['eth0 uplink of 1']);
    expect(tables.snat).toEqual(['0 10.0.0.1', '2 10.0.0.1']);
    expect(tables.xdp).toEqual([2]);
    expect(node.nodeKnown).toBe(true);
  });

  it('goes on without the Node when told to', () => {
    const { host, node, attached } = setup();
    host.links = [eth0];
    node.release();
    node.release();
    expect(attached).toEqual(['eth0 pod of 1']);
    expect(node.nodeKnown).toBe(false);
  });

  it('keeps the addresses of a Node that is deleted or loses them', () => {
    const { host, node, attached } = setup();
    host.links = [eth0];
    node.objectsChanged([nodeChange('node1', ['10.0.0.1'])]);
    node.objectsChanged([{ kind: 'Node', key: 'node1', object: undefined }]);
    node.objectsChanged([nodeChange('node1', [])]);
    node.objectsChanged([nodeChange('node1', ['10.0.0.1'])]);
    expect(attached).toHaveLength(1);
  });

  it('raises the FIB generation for a neighbour without looking at devices', () => {
    const { node, tables, attached } = setup();
    node.release();
    node.hostChanged(new Set<HostChange>(['neighbour']));
    expect(tables.generation).toBe(1);
    expect(attached).toHaveLength(1);
  });

  it('follows new devices and addresses', () => {
    const { host, node, attached, addresses } = setup();
    host.links = [eth0];
    host.addresses = [eth0Address];
    node.objectsChanged([nodeChange('node1', ['10.0.0.1'])]);
    host.links.push(link(5, 'veth1', { kind: 'veth', peerNetnsId: 1 }));
    node.hostChanged(LINK);
    expect(attached.at(-1)).toBe('eth0 uplink, veth1 pod of 2');
    host.addresses.push({ ...eth0Address, address: '10.0.0.7' });
    node.hostChanged(new Set<HostChange>(['address']));
    expect(addresses.at(-1)?.map((a) => a.ip)).toEqual(['10.0.0.1', '10.0.0.7']);
  });

  it('tries again while something cannot be attached, after 100 ms, 200 and so on', () => {
    vi.useFakeTimers();
    const { host, node, attached, state } = setup();
    host.links = [eth0];
    state.retries = ['soon', 'soon'];
    node.release();
    vi.advanceTimersByTime(299);
    expect(attached).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(attached).toHaveLength(3);
    vi.advanceTimersByTime(60_000);
    expect(attached).toHaveLength(3);
  });

  it('looks seldom for a device that another program holds, and is not slower for anything else then', () => {
    vi.useFakeTimers();
    const { host, node, attached, state } = setup();
    host.links = [eth0];
    state.rest = 'later';
    node.release();
    vi.advanceTimersByTime(600_000);
    expect(attached).toHaveLength(21);
    state.retries = ['soon'];
    node.attachAgain([{ ifindex: 2, device: 'eth0', hook: 'tc_ingress' }]);
    vi.advanceTimersByTime(100);
    expect(attached.slice(21)).toEqual(['forget tc_ingress@eth0', 'eth0 pod of 1', 'eth0 pod of 1']);
    node.stop();
    vi.advanceTimersByTime(600_000);
    expect(attached).toHaveLength(24);
  });

  it('believes the class that an earlier agent gave to a device with programs', () => {
    const { host, node, attached, tables, state } = setup();
    tables.devices.set(3, 'uplink').set(4, 'uplink');
    state.adopted = [3];
    host.links = [link(3, 'eth1', { up: false, flags: 0 }), link(4, 'eth2', { up: false, flags: 0 })];
    node.release();
    expect(attached).toEqual(['eth1 uplink of 2']);
  });
});
