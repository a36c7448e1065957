import { type PortRange, parseList } from './options.js';

/** What the kernel and the cluster already use of the port space. */
export interface PortUse {
  /** /proc/sys/net/ipv4/ip_local_port_range */
  ephemeral: PortRange;
  /** /proc/sys/net/ipv4/ip_local_reserved_ports */
  reserved: PortRange[];
  nodePorts: PortRange;
}

/** A comma-separated list of ports and ranges as sysctl prints it; '' is none. */
export function parsePortList(text: string): PortRange[] {
  return parseList(text).flatMap((entry) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(entry);
    if (!match) return [];
    return [{ min: Number(match[1]), max: Number(match[2] ?? match[1]) }];
  });
}

/**
 * SNAT ports must belong to nobody else: a port that a socket of this node may get by itself, or a
 * NodePort, would make two connections share one reply tuple.
 * @returns sentences; `errors` must stop the start.
 */
export function checkSnatPorts(range: PortRange, use: PortUse): { errors: string[]; warnings: string[] } {
  const errors: string[] = [];
  const warnings: string[] = [];
  const text = `${range.min}-${range.max}`;
  const hits = (other: PortRange) => range.min <= other.max && other.min <= range.max;
  const reservedWhole = use.reserved.some((r) => r.min <= range.min && range.max <= r.max);
  if (hits(use.nodePorts)) {
    errors.push(
      `use --snat-port-range ${text}: it overlaps the NodePorts ${use.nodePorts.min}-${use.nodePorts.max}. ` +
        'choose another range, or name the real one with --service-node-port-range',
    );
  }
  // Ports the kernel is told to leave alone (ip_local_reserved_ports) do not collide.
  if (hits(use.ephemeral) && !reservedWhole) {
    errors.push(
      `use --snat-port-range ${text}: it overlaps ip_local_port_range ${use.ephemeral.min}-${use.ephemeral.max}. ` +
        `choose another range, or reserve it: sysctl -w net.ipv4.ip_local_reserved_ports=${text}`,
    );
  }
  for (const reserved of reservedWhole ? [] : use.reserved.filter(hits)) {
    warnings.push(
      `use --snat-port-range ${text}: it overlaps the reserved ports ${reserved.min}-${reserved.max} of ` +
        'ip_local_reserved_ports. whoever reserved them may listen there; choose another range if so',
    );
  }
  return { errors, warnings };
}
