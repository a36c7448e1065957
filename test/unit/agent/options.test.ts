import { describe, expect, it } from 'vitest';
import { type AgentOptionsInput, completeAgentOptions, parsePortRange } from '../../../src/agent/options.js';
import { checkSnatPorts, parsePortList } from '../../../src/agent/snat-ports.js';

const base: AgentOptionsInput = { source: { kind: 'manifests', directory: '/tmp/m' }, nodeName: 'node-1' };

describe('completeAgentOptions', () => {
  it('fills in defaults and takes undefined for not given', () => {
    const options = completeAgentOptions({ ...base, xdp: undefined, devices: { pod: ['cali*'] } });
    expect(options.xdp).toBe('auto');
    expect(options.snatPortRange).toEqual({ min: 10_000, max: 29_999 });
    expect(options.devices).toEqual({ ignore: [], pod: ['cali*'], uplink: [], overlay: [] });
  });

  const wrong: [string, Partial<AgentOptionsInput>][] = [
    ['--hostname-override', { nodeName: 'Node_1' }],
    ['--hostname-override', { nodeName: '' }],
    ['--xdp', { xdp: 'yes' as 'auto' }],
    ['--snat-port-range', { snatPortRange: { min: 20_000, max: 10_000 } }],
    ['--snat-port-range', { snatPortRange: { min: 20_000, max: 20_010 } }],
    ['--nodeport-addresses', { nodePortAddresses: ['10.0.0.1'] }],
    ['--nodeport-addresses', { nodePortAddresses: ['primary', '10.0.0.0/8'] }],
    ['--cluster-cidr', { clusterCIDRs: ['10.244.0.0'] }],
    ['--service-cidrs', { serviceCIDRs: ['10.96.0.0/33'] }],
    ['--external-ip-cidrs', { externalIpCIDRs: ['198.51.100.7'] }],
    ['--hairpin-address6', { hairpinAddress6: 'fe80::1' }],
    ['--hairpin-address6', { hairpinAddress6: '::1' }],
    ['--hairpin-address', { hairpinAddress4: '127.0.0.1' }],
    ['--hairpin-address', { hairpinAddress4: '0.0.0.0' }],
    ['--hairpin-address', { hairpinAddress4: '224.0.0.1' }],
    ['--hairpin-address', { hairpinAddress4: 'fd00::1' }],
    ['--event-sample', { eventSample: 2 ** 32 }],
    ['--metrics-services', { metricsServices: 1.5 }],
    ['--takeover-window', { takeoverWindowS: 1e300 }],
    [
      '--metrics-bind-address',
      { metricsBindAddress: '127.0.0.1:10256', healthzBindAddress: '0.0.0.0:10256' },
    ],
    ['--metrics-bind-address', { metricsBindAddress: '[::1]:99', healthzBindAddress: '[::1]:99' }],
    ['--pin-path', { pinPath: 'sys/fs/bpf' }],
    ['--takeover-window', { takeoverWindowS: -1 }],
  ];
  for (const [flag, change] of wrong) {
    it(`refuses ${JSON.stringify(change)} naming ${flag}`, () => {
      expect(() => completeAgentOptions({ ...base, ...change })).toThrow(expect.objectContaining({ flag }));
    });
  }
});

it('takes one port on two addresses, and the default addresses', () => {
  const apart = { metricsBindAddress: '127.0.0.1:10256', healthzBindAddress: '10.0.0.1:10256' };
  expect(completeAgentOptions({ ...base, ...apart })).toMatchObject(apart);
  expect(completeAgentOptions({ ...base, metricsBindAddress: '' }).metricsBindAddress).toBe('');
});

describe('parsePortRange', () => {
  it('reads ranges and single ports', () => {
    expect(parsePortRange('--x', '10000-29999')).toEqual({ min: 10_000, max: 29_999 });
    expect(parsePortRange('--x', '80')).toEqual({ min: 80, max: 80 });
  });
  it('refuses anything else', () => {
    for (const text of ['', '5-', 'a', '9-8', '0-5', '1-70000'])
      expect(() => parsePortRange('--x', text)).toThrow();
  });
});

describe('checkSnatPorts', () => {
  const use = {
    ephemeral: { min: 32_768, max: 60_999 },
    reserved: [],
    nodePorts: { min: 30_000, max: 32_767 },
  };
  it('accepts the default on a default machine', () => {
    expect(checkSnatPorts({ min: 10_000, max: 29_999 }, use)).toEqual({ errors: [], warnings: [] });
  });
  it('refuses ports that sockets get by themselves, unless reserved', () => {
    const range = { min: 50_000, max: 55_000 };
    expect(checkSnatPorts(range, use).errors[0]).toMatch(/ip_local_port_range 32768-60999.*sysctl/);
    expect(checkSnatPorts(range, { ...use, reserved: [{ min: 50_000, max: 56_000 }] }).errors).toEqual([]);
  });
  it('refuses NodePorts', () => {
    expect(checkSnatPorts({ min: 29_000, max: 30_000 }, use).errors[0]).toMatch(/NodePorts 30000-32767/);
  });
  it('warns about ports that someone reserved in part', () => {
    const { warnings } = checkSnatPorts(
      { min: 10_000, max: 29_999 },
      { ...use, reserved: parsePortList('12000-12005,8080') },
    );
    expect(warnings).toHaveLength(1);
  });
});
