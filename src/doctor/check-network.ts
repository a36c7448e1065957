import { checkSnatPorts, parsePortList } from '../agent/snat-ports.js';
import { sentences } from './check-kernel.js';
import type { Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

export function checkNetwork(facts: Facts): Finding[] {
  return [...checkForwarding(facts), ...checkRpFilter(facts), ...checkPorts(facts)];
}

function checkForwarding({ sysctls, hasIPv6, devices }: Facts): Finding[] {
  const level = devices.some(({ device }) => device.class === 'pod') ? 'fail' : 'warn';
  const off: [string, string][] = [];
  if (sysctls['net/ipv4/ip_forward'] === '0') off.push(['net.ipv4.ip_forward', '']);
  if (hasIPv6 && sysctls['net/ipv6/conf/all/forwarding'] === '0') {
    off.push(['net.ipv6.conf.all.forwarding', 'IPv6 ']);
  }
  if (off.length === 0) return [ok('ip_forward', 'forwarding is on')];
  return off.map(([name, family]) =>
    finding(
      level,
      `ip_forward/${name}`,
      `${name} is 0`,
      `outside clients reach no ${family}backend in a pod of this node`,
      `sysctl -w ${name}=1`,
    ),
  );
}

/** The kernel takes the greater of conf.all and the device's own. */
function checkRpFilter({ sysctls, devices }: Facts): Finding[] {
  const all = Number(sysctls['net/ipv4/conf/all/rp_filter'] ?? 0);
  const strict = devices
    .filter(({ device }) => device.class !== 'loopback' && device.class !== 'bridge')
    .filter(({ rpFilter = 0 }) => Math.max(all, rpFilter) === 1)
    .map(({ device }) => device.name);
  if (strict.length === 0) return [ok('rp_filter', 'no device filters strictly by reverse path')];
  return [
    finding(
      'warn',
      'rp_filter',
      `rp_filter is 1 (strict) on ${names(strict)}`,
      'replies to packets of this node that carry a service address themselves (connected UDP, SCTP, raw sockets) are dropped where they arrive on another device than the route to the service address; traffic of pods, of outside clients and TCP is not affected',
      'sysctl -w net.ipv4.conf.all.rp_filter=2 (loose)',
    ),
  ];
}

function checkPorts({ sysctls, intent }: Facts): Finding[] {
  const [min, max] = (sysctls['net/ipv4/ip_local_port_range'] ?? '').split(/\s+/).map(Number);
  const ephemeral = { min: min || 32_768, max: max || 60_999 };
  const { snatPortRange: snat, nodePortRange: nodePorts } = intent;
  const reserved = parsePortList(sysctls['net/ipv4/ip_local_reserved_ports'] ?? '');
  const { errors, warnings } = checkSnatPorts(snat, { ephemeral, reserved, nodePorts });
  const text = `SNAT ports ${snat.min}-${snat.max}, NodePorts ${nodePorts.min}-${nodePorts.max}, ephemeral ports ${ephemeral.min}-${ephemeral.max}`;
  const twice = 'two connections could share one reply tuple';
  const findings: Finding[] = [
    ...errors.map((error) => {
      const { what, wayOut } = sentences(error);
      return finding('fail', 'ports/snat', what, `${twice}: the agent does not start`, wayOut);
    }),
    ...warnings.map((warning) => {
      const { what, wayOut } = sentences(warning);
      return finding('warn', 'ports/snat', what, twice, wayOut);
    }),
  ];
  const isReserved = reserved.some((range) => range.min <= nodePorts.min && nodePorts.max <= range.max);
  if (ephemeral.min <= nodePorts.max && nodePorts.min <= ephemeral.max && !isReserved) {
    findings.push(
      finding(
        'warn',
        'ports/node-ports',
        `ip_local_port_range ${ephemeral.min}-${ephemeral.max} overlaps the NodePorts ${nodePorts.min}-${nodePorts.max}`,
        'a connection of this node that gets such a port by itself has its replies taken for new traffic to the NodePort',
        `sysctl -w net.ipv4.ip_local_reserved_ports=${nodePorts.min}-${nodePorts.max}`,
      ),
    );
  }
  return findings.length > 0 ? findings : [ok('ports', `${text}: no overlap`)];
}

/** The first few of many. */
export function names(list: readonly string[]): string {
  const shown = list.slice(0, 4).join(', ');
  return list.length > 4 ? `${shown} and ${list.length - 4} more` : shown;
}
