import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Attacher } from '../../../src/agent/attach.js';
import { attachCgroupHooks, detachCgroupHooks, lostCgroupHooks } from '../../../src/agent/cgroup-hooks.js';
import { newCounters } from '../../../src/agent/counters.js';
import type { Device, DeviceClass } from '../../../src/agent/devices.js';
import type { ClsactPlace, HookPort, LinkHandle, PinDirectory } from '../../../src/agent/hook-port.js';
import { WarningLog } from '../../../src/agent/log.js';
import type { XdpMode } from '../../../src/agent/options.js';
import { linkPinName, parseLinkPinName } from '../../../src/agent/pins.js';

const log = pino({ level: 'silent' });

interface FakeLink {
  id: number;
  what: string;
  program: string;
  ifindex: number;
  cgroupId: bigint;
}

/** Links live in the "kernel" while a pin or a handle holds them; agents come and go. */
class FakeKernel implements HookPort<string>, PinDirectory {
  tcx = true;
  pins = new Map<string, FakeLink>();
  filters = new Map<string, string>();
  calls: string[] = [];
  refuse = new Map<string, string>();
  #nextId = 1;

  list = () => [...this.pins.keys()];
  path = (name: string) => name;
  remove = (name: string) => {
    this.pins.delete(name);
  };

  openPinned(path: string): LinkHandle<string> {
    const link = this.pins.get(path);
    if (!link) throw Object.assign(new Error('no pin'), { code: 'ENOENT' });
    return this.#handle(link);
  }
  attachTcx(o: { ifindex: number; direction: string; program: string; position: string }) {
    return this.#attach(`tcx ${o.direction} ${o.position}`, o.ifindex, o.program);
  }
  /** Whoever holds links open without a pin; undefined: nobody may look. */
  held: FakeLink[] | undefined = [];
  findTcx(o: { ifindex: number; direction: string; program: string }) {
    if (!this.held) throw Object.assign(new Error('open link: EPERM'), { code: 'EPERM' });
    const found = this.held.find(
      (link) =>
        link.ifindex === o.ifindex &&
        link.program === o.program &&
        link.what.startsWith(`tcx ${o.direction}`),
    );
    return found && this.#handle(found);
  }
  attachXdp(o: { ifindex: number; program: string; mode: string }) {
    return this.#attach(`xdp ${o.mode}`, o.ifindex, o.program);
  }
  attachCgroup(o: { cgroupPath: string; attachType: string; program: string }) {
    const handle = this.#attach(`cgroup ${o.attachType}`, 0, o.program);
    return handle;
  }
  findClsact = (place: ClsactPlace) => this.filters.get(`${place.ifindex} ${place.direction}`)?.split('/')[0];
  setClsact(place: ClsactPlace, program: string) {
    this.calls.push(`clsact ${place.ifindex} ${place.direction} ${program}`);
    this.filters.set(`${place.ifindex} ${place.direction}`, program);
  }
  detachClsact(place: ClsactPlace) {
    this.filters.delete(`${place.ifindex} ${place.direction}`);
  }
  /** What the kernel does with the links of a device that goes. */
  removeDevice(ifindex: number) {
    for (const link of this.pins.values()) if (link.ifindex === ifindex) link.ifindex = 0;
  }
  state(): string[] {
    return [...this.pins].map(([name, link]) => `${name} ${link.what} ${link.program}`).sort();
  }
  #attach(what: string, ifindex: number, program: string): LinkHandle<string> {
    const code = this.refuse.get(what.split(' ').slice(0, 2).join(' '));
    if (code) throw Object.assign(new Error(`${what}: ${code}`), { code });
    this.calls.push(`${what} ${ifindex} ${program}`);
    return this.#handle({ id: this.#nextId++, what, program, ifindex, cgroupId: 7n });
  }
  #handle(link: FakeLink): LinkHandle<string> {
    const isCgroup = link.what.startsWith('cgroup');
    const { calls, pins } = this;
    return {
      get info() {
        return isCgroup
          ? { id: link.id, progId: 0, cgroupId: link.cgroupId }
          : { id: link.id, progId: 0, ifindex: link.ifindex };
      },
      update: (program) => {
        calls.push(`update ${link.what} ${link.ifindex} ${program}`);
        link.program = program;
      },
      pin: (path) => void pins.set(path, link),
      detach: () => {
        calls.push(`detach ${link.what} ${link.ifindex}`);
        link.ifindex = 0;
      },
      close: () => {},
    };
  }
}

function device(ifindex: number, name: string, deviceClass: DeviceClass, kind?: string): Device {
  return { ifindex, name, class: deviceClass, mtu: 1500, kind };
}

function agent(
  kernel: FakeKernel,
  xdp: XdpMode = 'auto',
  load = 'v1',
  onWarning?: (line: { reason: string }) => void,
) {
  const counters = newCounters();
  const warnings = new WarningLog(
    onWarning ? pino({}, { write: (line: string) => onWarning(JSON.parse(line)) }) : log,
  );
  const program = (name: string) => `${name}/${load}`;
  const attacher = new Attacher<string>({
    hooks: kernel,
    pins: kernel,
    program,
    xdp,
    log,
    warnings,
    counters,
  });
  const reconcile = (devices: Device[], gone: number[] = []) =>
    attacher.reconcile(devices, new Set(devices.map((d) => d.ifindex).filter((i) => !gone.includes(i))));
  const cgroup = { hooks: kernel, pins: kernel, program, log, warnings, cgroupId: () => 7n };
  return { attacher, counters, reconcile, cgroup };
}

const eth0 = device(2, 'eth0', 'uplink');
const veth1 = device(5, 'veth1', 'pod', 'veth');

describe('Attacher', () => {
  it('attaches by class, egress before ingress, and pins every link', () => {
    const kernel = new FakeKernel();
    agent(kernel, 'off').reconcile([device(1, 'lo', 'loopback'), eth0, device(4, 'cni0', 'bridge'), veth1]);
    expect(kernel.calls).toEqual([
      'tcx egress last 2 tc_uplink_out/v1',
      'tcx ingress first 2 tc_uplink_in/v1',
      'tcx egress last 5 tc_pod_out/v1',
      'tcx ingress first 5 tc_pod_in/v1',
    ]);
    expect(kernel.list().sort()).toEqual([
      'tc_egress@eth0',
      'tc_egress@veth1',
      'tc_ingress@eth0',
      'tc_ingress@veth1',
    ]);
  });

  it('does nothing when everything is as it should be', () => {
    const kernel = new FakeKernel();
    const { reconcile, counters } = agent(kernel);
    reconcile([eth0, veth1]);
    kernel.calls = [];
    reconcile([eth0, veth1]);
    expect(kernel.calls).toEqual([]);
    expect(counters.attaches).toBe(4);
  });

  it('takes the links of an earlier agent over and replaces their programs in place', () => {
    const kernel = new FakeKernel();
    agent(kernel, 'force').reconcile([eth0, veth1]);
    const ids = [...kernel.pins.values()].map((link) => link.id);
    kernel.calls = [];
    const second = agent(kernel, 'force', 'v2');
    second.attacher.adopt([]);
    expect(second.attacher.ifindexes.sort()).toEqual([2, 5]);
    second.reconcile([eth0, veth1]);
    expect(kernel.calls.every((call) => call.startsWith('update'))).toBe(true);
    expect([...kernel.pins.values()].map((link) => link.id)).toEqual(ids);
    expect(kernel.state().every((line) => line.endsWith('/v2'))).toBe(true);
    expect(second.attacher.xdpDevices).toEqual([2]);
  });

  it('removes pins of devices that vanished while nobody ran, and attaches to a successor of the same name', () => {
    const kernel = new FakeKernel();
    agent(kernel).reconcile([veth1]);
    kernel.removeDevice(5);
    kernel.calls = [];
    const second = agent(kernel, 'auto', 'v2');
    second.attacher.adopt([]);
    expect(kernel.list()).toEqual([]);
    second.reconcile([device(6, 'veth1', 'pod', 'veth')]);
    expect(kernel.calls).toEqual(['tcx egress last 6 tc_pod_out/v2', 'tcx ingress first 6 tc_pod_in/v2']);
  });

  it('finds the link of a device that was renamed, and keeps names apart', () => {
    const kernel = new FakeKernel();
    agent(kernel).reconcile([veth1]);
    const second = agent(kernel, 'auto', 'v2');
    second.attacher.adopt([]);
    second.reconcile([device(5, 'renamed', 'pod', 'veth'), device(6, 'veth1', 'pod', 'veth')]);
    expect(kernel.state()).toEqual([
      'tc_egress@veth1 tcx egress last tc_pod_out/v2',
      'tc_egress@veth1:6 tcx egress last tc_pod_out/v2',
      'tc_ingress@veth1 tcx ingress first tc_pod_in/v2',
      'tc_ingress@veth1:6 tcx ingress first tc_pod_in/v2',
    ]);
  });

  it('removes pins with the device and detaches from one that lost its class', () => {
    const kernel = new FakeKernel();
    const { reconcile, attacher } = agent(kernel, 'off');
    reconcile([eth0, veth1]);
    kernel.removeDevice(5);
    kernel.calls = [];
    attacher.reconcile([], new Set([2]));
    expect(kernel.list()).toEqual([]);
    expect(kernel.calls).toEqual(['detach tcx ingress first 2', 'detach tcx egress last 2']);
  });

  it('swaps programs in place when a device changes class', () => {
    const kernel = new FakeKernel();
    const { reconcile } = agent(kernel);
    reconcile([device(5, 'x', 'pod', 'veth')]);
    kernel.calls = [];
    reconcile([device(5, 'x', 'uplink', 'veth')]);
    expect(kernel.calls).toEqual([
      'update tcx egress last 5 tc_uplink_out/v1',
      'update tcx ingress first 5 tc_uplink_in/v1',
    ]);
  });

  const xdpRows: [XdpMode, string | undefined, string[]][] = [
    ['auto', undefined, ['xdp@eth0']],
    ['auto', 'veth', []],
    ['auto', 'bond', []],
    ['off', undefined, []],
    ['force', 'veth', ['xdp@eth0']],
  ];
  for (const [mode, kind, want] of xdpRows) {
    it(`with --xdp=${mode} puts XDP on ${want.length ? '' : 'no '}uplink of kind ${kind ?? 'NIC'}`, () => {
      const kernel = new FakeKernel();
      agent(kernel, mode).reconcile([device(2, 'eth0', 'uplink', kind)]);
      expect(kernel.list().filter((name) => name.startsWith('xdp'))).toEqual(want);
    });
  }

  it('falls back to generic XDP only when forced, and never counts it as transmitting', () => {
    const kernel = new FakeKernel();
    kernel.refuse.set('xdp native', 'EOPNOTSUPP');
    const auto = agent(kernel, 'auto');
    expect(auto.reconcile([eth0])).toEqual({ retry: 'no' });
    expect(kernel.list()).not.toContain('xdp_generic@eth0');
    const forced = agent(kernel, 'force');
    forced.attacher.adopt([]);
    forced.reconcile([eth0]);
    expect(kernel.list()).toContain('xdp_generic@eth0');
    expect(forced.attacher.xdpDevices).toEqual([]);
  });

  it('detaches XDP when it is switched off', () => {
    const kernel = new FakeKernel();
    agent(kernel, 'force').reconcile([eth0]);
    const second = agent(kernel, 'off', 'v2');
    second.attacher.adopt([]);
    second.reconcile([eth0]);
    expect(kernel.list().sort()).toEqual(['tc_egress@eth0', 'tc_ingress@eth0']);
  });

  it('asks to be called again after a failure, but not for a device that is gone', () => {
    const kernel = new FakeKernel();
    kernel.refuse.set('tcx ingress', 'EPERM');
    const { reconcile, counters } = agent(kernel);
    expect(reconcile([veth1])).toEqual({ retry: 'soon' });
    expect(counters.attachErrors).toBe(1);
    kernel.refuse.set('tcx ingress', 'ENODEV');
    expect(reconcile([veth1])).toEqual({ retry: 'no' });
  });

  it('finds what somebody has detached or unpinned, and attaches it again', () => {
    const kernel = new FakeKernel();
    const { attacher, reconcile } = agent(kernel, 'force');
    reconcile([eth0, veth1]);
    const before = kernel.state();
    expect(attacher.findLost()).toEqual([]);
    (kernel.pins.get('tc_ingress@eth0') as FakeLink).ifindex = 0;
    kernel.pins.delete('tc_egress@veth1');
    kernel.pins.delete('xdp@eth0');
    const lost = attacher.findLost();
    expect(lost.map(({ hook, device: name }) => `${hook}@${name}`)).toEqual([
      'tc_ingress@eth0',
      'xdp@eth0',
      'tc_egress@veth1',
    ]);
    kernel.calls = [];
    for (const program of lost) attacher.forget(program);
    reconcile([eth0, veth1]);
    expect(kernel.calls).toEqual([
      'tcx ingress first 2 tc_uplink_in/v1',
      'xdp native 2 xdp_uplink/v1',
      'tcx egress last 5 tc_pod_out/v1',
    ]);
    expect(kernel.state()).toEqual(before);
    expect(attacher.findLost()).toEqual([]);
  });

  it('knows what is attached, what should be, and what went with its device', () => {
    const kernel = new FakeKernel();
    const { attacher, reconcile } = agent(kernel, 'off');
    const ingress = { ifindex: 5, device: 'veth1', hook: 'tc_ingress' } as const;
    reconcile([veth1]);
    expect(attacher.stateOf(ingress)).toBe('attached');
    kernel.pins.delete('tc_ingress@veth1');
    kernel.refuse.set('tcx ingress', 'EEXIST');
    attacher.forget(ingress);
    expect(reconcile([veth1])).toEqual({ retry: 'soon' });
    expect(attacher.stateOf(ingress)).toBe('missing');
    reconcile([], [5]);
    expect(attacher.stateOf(ingress)).toBe('gone');
  });

  it('pins the link again that somebody holds open', () => {
    const kernel = new FakeKernel();
    const { attacher, reconcile } = agent(kernel, 'off');
    reconcile([veth1]);
    const before = kernel.state();
    kernel.held = [...kernel.pins.values()];
    const ingress = { ifindex: 5, device: 'veth1', hook: 'tc_ingress' } as const;
    kernel.pins.delete('tc_ingress@veth1');
    kernel.refuse.set('tcx ingress', 'EEXIST');
    kernel.calls = [];
    attacher.forget(ingress);
    expect(reconcile([veth1])).toEqual({ retry: 'no' });
    expect(kernel.calls).toEqual([]);
    expect(kernel.state()).toEqual(before);
  });

  it.each([
    ['nobody holds it', 'EEXIST', []],
    ['nobody may look for it', 'EEXIST', undefined],
    ['attaching fails for another reason', 'ENOMEM', 'all'],
  ] as const)('names the refusal when %s', (_, code, held) => {
    const kernel = new FakeKernel();
    const warned: { reason: string }[] = [];
    const { attacher, reconcile } = agent(kernel, 'off', 'v1', (line) => warned.push(line));
    reconcile([veth1]);
    kernel.held = held === 'all' ? [...kernel.pins.values()] : held && [...held];
    kernel.pins.delete('tc_ingress@veth1');
    kernel.refuse.set('tcx ingress', code);
    attacher.forget({ ifindex: 5, device: 'veth1', hook: 'tc_ingress' });
    expect(reconcile([veth1])).toEqual({ retry: 'soon' });
    expect(warned.map(({ reason }) => reason)).toEqual([`tcx ingress first: ${code}`]);
  });

  it.each([
    ['auto', 'native', 'EBUSY'],
    ['auto', 'native', 'EEXIST'],
    ['force', 'native', 'EBUSY'],
    ['force', 'native', 'EEXIST'],
    ['force', 'generic', 'EBUSY'],
  ] as const)('--xdp=%s waits for the device when %s XDP is refused with %s', (xdp, mode, code) => {
    const kernel = new FakeKernel();
    const { attacher, reconcile } = agent(kernel, xdp);
    if (mode === 'generic') kernel.refuse.set('xdp native', 'EOPNOTSUPP');
    kernel.refuse.set(`xdp ${mode}`, code);
    expect(reconcile([eth0])).toEqual({ retry: 'later' });
    expect(attacher.xdpDevices).toEqual([]);
    kernel.refuse.delete(`xdp ${mode}`);
    expect(reconcile([eth0])).toEqual({ retry: 'no' });
    expect(kernel.list()).toContain(mode === 'native' ? 'xdp@eth0' : 'xdp_generic@eth0');
    expect(attacher.stateOf({ ifindex: 2, device: 'eth0', hook: 'xdp' })).toBe('attached');
  });

  it('finds a filter that somebody has removed or replaced', () => {
    const kernel = new FakeKernel();
    kernel.tcx = false;
    const { attacher, reconcile } = agent(kernel, 'off', '');
    reconcile([veth1]);
    expect(attacher.findLost()).toEqual([]);
    kernel.filters.delete('5 ingress');
    kernel.filters.set('5 egress', 'somebody_elses');
    expect(attacher.findLost().map(({ hook }) => hook)).toEqual(['tc_egress', 'tc_ingress']);
  });

  it('uses clsact filters where there is no tcx, and finds them again', () => {
    const kernel = new FakeKernel();
    kernel.tcx = false;
    agent(kernel).reconcile([veth1]);
    expect([...kernel.filters]).toEqual([
      ['5 egress', 'tc_pod_out/v1'],
      ['5 ingress', 'tc_pod_in/v1'],
    ]);
    const second = agent(kernel, 'auto', 'v2');
    second.attacher.adopt([2, 5]);
    second.reconcile([], []);
    expect([...kernel.filters]).toHaveLength(2);
    const third = agent(kernel, 'auto', 'v3');
    third.attacher.adopt([2, 5]);
    third.attacher.reconcile([], new Set([2, 5]));
    expect([...kernel.filters]).toEqual([]);
  });
});

it('leaves a filter alone that somebody else has put in our place', () => {
  const kernel = new FakeKernel();
  kernel.tcx = false;
  kernel.filters.set('5 ingress', 'somebody_elses');
  const { reconcile, counters } = agent(kernel);
  expect(reconcile([veth1])).toEqual({ retry: 'soon' });
  expect(kernel.filters.get('5 ingress')).toBe('somebody_elses');
  expect(counters.attachErrors).toBe(1);
});

describe('socket hooks', () => {
  it('attaches the restoring hooks first, updates them in place later and detaches in reverse', () => {
    const kernel = new FakeKernel();
    expect(attachCgroupHooks(agent(kernel).cgroup, '/cg')).toBe(true);
    expect(kernel.calls.map((call) => call.split(' ')[1])).toEqual([
      'recvmsg4',
      'recvmsg6',
      'getpeername4',
      'getpeername6',
      'sendmsg4',
      'sendmsg6',
      'connect4',
      'connect6',
    ]);
    kernel.calls = [];
    attachCgroupHooks(agent(kernel, 'auto', 'v2').cgroup, '/cg');
    expect(kernel.calls.every((call) => call.startsWith('update'))).toBe(true);
    kernel.calls = [];
    detachCgroupHooks(agent(kernel).cgroup);
    expect(kernel.calls[0]).toBe('detach cgroup connect6 0');
    expect(kernel.list()).toEqual([]);
  });

  it('names those that are gone, and attaches them again', () => {
    const kernel = new FakeKernel();
    const { cgroup } = agent(kernel);
    attachCgroupHooks(cgroup, '/cg');
    expect(lostCgroupHooks(cgroup, '/cg')).toEqual([]);
    kernel.pins.delete('sk_connect4');
    (kernel.pins.get('sk_recvmsg6') as FakeLink).cgroupId = 0n;
    expect(lostCgroupHooks(cgroup, '/cg')).toEqual(['sk_recvmsg6', 'sk_connect4']);
    attachCgroupHooks(cgroup, '/cg');
    expect(lostCgroupHooks(cgroup, '/cg')).toEqual([]);
  });

  it('attaches anew when the cgroup is another one', () => {
    const kernel = new FakeKernel();
    attachCgroupHooks(agent(kernel).cgroup, '/cg');
    kernel.calls = [];
    attachCgroupHooks({ ...agent(kernel).cgroup, cgroupId: () => 8n }, '/other');
    expect(kernel.calls.slice(0, 2)).toEqual([
      'detach cgroup recvmsg4 0',
      'cgroup recvmsg4 0 sk_recvmsg4/v1',
    ]);
  });
});

describe('pin names', () => {
  it('survive dots, which bpffs does not allow', () => {
    expect(linkPinName('tc_ingress', 'eth0.7')).toBe('tc_ingress@eth0%2e7');
    expect(parseLinkPinName('tc_ingress@eth0%2e7')).toEqual({ hook: 'tc_ingress', deviceName: 'eth0.7' });
    expect(parseLinkPinName(linkPinName('xdp', 'a%2eb'))).toEqual({ hook: 'xdp', deviceName: 'a%2eb' });
    expect(parseLinkPinName('xdp@eth0:12')).toEqual({ hook: 'xdp', deviceName: 'eth0' });
  });
  it('of other files are not taken for links of devices', () => {
    for (const name of ['sk_connect4', 'foo@eth0', 'lb_slots'])
      expect(parseLinkPinName(name)).toBeUndefined();
  });
});
