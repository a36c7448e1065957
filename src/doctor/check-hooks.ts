import { XdpFeature } from '../native/index.js';
import { names } from './check-network.js';
import type { DeviceFacts, DeviceHookFacts, Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

type Program = DeviceHookFacts['programs'][number];

/** Programs of ours have these names, also where they hang on clsact filters without a pinned link. */
const OUR_NAMES = /^(tc_(pod|uplink)_(in|out)|xdp_uplink|sk_(connect|sendmsg|recvmsg|peername)[46])$/;

export function checkHooks(facts: Facts): Finding[] {
  const foreign = (program: Program) => isForeign(program, facts.ownPrograms);
  const perDevice = facts.devices.flatMap((device) => [
    ...checkTc(device, foreign),
    ...checkXdp(device, foreign, facts),
  ]);
  const findings = [...perDevice, ...checkCgroupHooks(facts)];
  if (!findings.some(({ id }) => id.startsWith('hooks/'))) {
    findings.unshift(ok('hooks', "no program of anybody else hangs on the hooks of this node's devices"));
  }
  return findings;
}

function isForeign({ progId, name }: Program, own: readonly number[]): boolean {
  if (progId !== undefined && own.includes(progId)) return false;
  return name === undefined || !OUR_NAMES.test(name);
}

const text = ({ progId, name }: Program) =>
  progId === undefined ? name : `${name ?? 'program'} (id ${progId})`;

function checkTc({ device, hooks }: DeviceFacts, foreign: (program: Program) => boolean): Finding[] {
  if (device.class === 'loopback' || device.class === 'bridge') return [];
  return hooks
    .filter(({ hook }) => hook.startsWith('tc'))
    .flatMap(({ hook, programs }) => {
      const others = programs.filter(foreign);
      if (others.length === 0) return [];
      // Filters (clsact) run after tcx, and only when tcx lets the packet on.
      return finding(
        'info',
        `hooks/${device.name}/${hook.replace(' ', '-')}`,
        `${names(others.map((program) => text(program) ?? '?'))} at ${hook} of ${device.name}`,
        hook.endsWith('ingress')
          ? 'Shunt runs first there with tcx: they see packets to a Service translated already, and those sent past the stack not at all'
          : 'Shunt runs last there with tcx: they see packets before its translation',
        'none needed if they only filter or count; a program that redirects or answers for Services must not run beside Shunt',
      );
    });
}

function checkXdp(
  { device, hooks, driver, xdpFeatures }: DeviceFacts,
  foreign: (program: Program) => boolean,
  { intent }: Facts,
): Finding[] {
  if (device.class !== 'uplink') return [];
  const id = `xdp/${device.name}`;
  const there = hooks.filter(({ hook }) => hook.startsWith('xdp'));
  const others = there.flatMap(({ hook, programs }) => programs.filter(foreign).map((p) => ({ hook, p })));
  if (others.length > 0) {
    return [
      finding(
        intent.xdp === 'off' ? 'info' : 'warn',
        `hooks/${device.name}/xdp`,
        `${names(others.map(({ hook, p }) => `${text(p)} (${hook})`))} holds XDP of ${device.name}`,
        'Shunt cannot attach there and serves the device by tc: the same traffic, at more cost per packet',
        `detach it, or pass --xdp=off to silence this`,
      ),
    ];
  }
  const ours = there.find(({ programs }) => programs.length > 0);
  const what = driver === undefined ? (device.kind ?? 'a device without a driver') : `driver ${driver}`;
  if (ours) return [ok(id, `${device.name} (${what}): Shunt runs in ${ours.hook} mode`)];
  if (intent.xdp === 'off') return [ok(id, `${device.name}: XDP is switched off`)];
  if (device.kind !== undefined && intent.xdp === 'auto') {
    return [
      ok(
        id,
        `${device.name} is a ${device.kind}, not a real NIC: tc serves it, and XDP would break checksums`,
      ),
    ];
  }
  if (xdpFeatures === undefined) return [ok(id, `${device.name} (${what}): XDP is tried at start`)];
  const need = XdpFeature.BASIC | XdpFeature.REDIRECT;
  if ((xdpFeatures & need) === need) return [ok(id, `${device.name} (${what}): the driver has native XDP`)];
  return [
    finding(
      'info',
      id,
      `${device.name} (${what}): the driver has no native XDP with redirect`,
      'tc serves the device: the same traffic, at more cost per packet',
      'none needed; a NIC whose driver has native XDP makes it faster',
    ),
  ];
}

function checkCgroupHooks({ cgroup, ownPrograms, intent }: Facts): Finding[] {
  if (intent.socketLb === 'off') return [];
  return Object.entries(cgroup.programs).flatMap(([hook, programs]) => {
    const others = programs.filter((program) => isForeign(program, ownPrograms));
    if (others.length === 0) return [];
    return finding(
      'warn',
      `hooks/cgroup/${hook}`,
      `${names(others.map((program) => text(program) ?? '?'))} at ${hook} of ${cgroup.path}`,
      'both rewrite the destination of the same sockets if it translates Services too; which one wins depends on the order of attaching',
      'switch its socket load balancing off, or pass --socket-lb=off to Shunt',
    );
  });
}
