import { describe, expect, it } from 'vitest';
import { type AddressInput, computeNodeAddresses, computeSnatSources } from '../../../src/agent/addresses.js';
import type { AddressFacts, Device, DeviceClass } from '../../../src/agent/devices.js';

function address(ifindex: number, text: string, more: Partial<AddressFacts> = {}): AddressFacts {
  const [ip = '', length = '32'] = text.split('/');
  const family = ip.includes(':') ? 6 : 4;
  return { ifindex, family, address: ip, prefixLength: Number(length), scope: 0, flags: 0, ...more };
}

function device(ifindex: number, name: string, deviceClass: DeviceClass): Device {
  return { ifindex, name, class: deviceClass, mtu: 1500, kind: undefined };
}

const node: AddressInput = {
  addresses: [
    address(1, '127.0.0.1/8', { scope: 254 }),
    address(1, '::1/128', { scope: 254 }),
    address(2, '10.0.0.1/24'),
    address(2, '10.0.0.9/24', { flags: 0x01 }),
    address(2, 'fd00::1/64'),
    address(2, 'fe80::1/64', { scope: 253 }),
    address(3, '192.168.7.1/24'),
    address(4, '10.244.0.1/24'),
    address(5, '10.244.1.1/32'),
  ],
  devices: [
    device(1, 'lo', 'loopback'),
    device(2, 'eth0', 'uplink'),
    device(3, 'eth1', 'uplink'),
    device(4, 'cni0', 'bridge'),
    device(5, 'veth1', 'pod'),
  ],
  internalIPs: ['10.0.0.1', 'fd00::1'],
  nodePortAddresses: [],
  defaultRouteDevices: [2],
};

function nodePortAddresses(...wanted: string[]): string[] {
  return computeNodeAddresses({ ...node, nodePortAddresses: wanted })
    .filter((a) => a.nodePorts)
    .map((a) => a.ip);
}

describe('computeNodeAddresses', () => {
  it('lists every address of the node, gateways included, link-local IPv6 not', () => {
    expect(
      computeNodeAddresses(node).map(
        (a) => `${a.ip}${a.loopback ? ' loopback' : ''}${a.primary ? ' primary' : ''}`,
      ),
    ).toEqual([
      '10.0.0.1 primary',
      '10.0.0.9',
      '10.244.0.1',
      '10.244.1.1',
      '127.0.0.1 loopback',
      '192.168.7.1',
      '::1 loopback',
      'fd00::1 primary',
    ]);
  });

  it('accepts NodePorts everywhere by default', () => {
    expect(nodePortAddresses()).toHaveLength(8);
  });

  it('accepts them on the InternalIPs with primary', () => {
    expect(nodePortAddresses('primary')).toEqual(['10.0.0.1', 'fd00::1']);
  });

  it('restricts the family that has ranges and no other', () => {
    expect(nodePortAddresses('192.168.0.0/16')).toEqual(['192.168.7.1', '::1', 'fd00::1']);
    expect(nodePortAddresses('fd00::/64', '127.0.0.0/8')).toEqual(['127.0.0.1', 'fd00::1']);
  });

  it('accepts none when no address matches', () => {
    expect(nodePortAddresses('203.0.113.0/24', '2001:db8::/32')).toEqual([]);
  });

  it("leaves kube-proxy's own device and unconfirmed addresses out", () => {
    const input = {
      ...node,
      addresses: [address(8, '10.96.0.1/32'), address(2, 'fd00::5/64', { flags: 0x40 })],
      devices: [...node.devices, device(8, 'kube-ipvs0', 'uplink')],
    };
    expect(computeNodeAddresses(input)).toEqual([]);
  });
});

function snat(input: Partial<AddressInput>): string[] {
  return computeSnatSources({ ...node, ...input }).map((s) => `${s.ifindex}/${s.family} ${s.address}`);
}

describe('computeSnatSources', () => {
  it('takes the first primary address of every device, and the InternalIP for ifindex 0', () => {
    expect(snat({})).toEqual([
      '0/4 10.0.0.1',
      '0/6 fd00::1',
      '2/4 10.0.0.1',
      '2/6 fd00::1',
      '3/4 192.168.7.1',
      '4/4 10.244.0.1',
      '5/4 10.244.1.1',
    ]);
  });

  it('falls back on the default route while the Node is unknown', () => {
    expect(snat({ internalIPs: [] }).slice(0, 2)).toEqual(['0/4 10.0.0.1', '0/6 fd00::1']);
  });

  it('never uses an InternalIP that the machine does not carry', () => {
    expect(snat({ internalIPs: ['203.0.113.7'] })[0]).toBe('0/4 10.0.0.1');
  });

  it('skips temporary and deprecated IPv6 addresses', () => {
    const addresses = [
      address(2, 'fd00::aaaa/64', { flags: 0x01 }),
      address(2, 'fd00::bbbb/64', { flags: 0x20 }),
      address(2, 'fd00::1/64'),
    ];
    expect(snat({ addresses })).toEqual(['0/6 fd00::1', '2/6 fd00::1']);
  });
});
