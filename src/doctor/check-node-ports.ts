import { type NodePort, takenNodePorts, wayOut } from '../agent/node-ports/taken.js';
import type { Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

/** More than this many would bury the rest. */
const SHOWN = 20;

/** A NodePort wins over a process or a hostPort with its number, as with kube-proxy. */
export function checkNodePorts({ nodePorts }: Facts): Finding[] {
  const { served, listeners, addresses, hostPorts } = nodePorts;
  if (served.length === 0) return [];
  const taken = takenNodePorts(served, listeners, addresses);
  const findings = taken.map(({ nodePort, listener }) =>
    finding(
      'warn',
      idOf(nodePort),
      `a process of this node listens on ${listener}, node port ${nodePort.port}/${nodePort.protocol} of Service ${nodePort.service}`,
      'the NodePort wins: what comes from outside goes to the Service, not to the process',
      wayOut(nodePort),
    ),
  );
  const seen = new Set(findings.map(({ id }) => id));
  for (const nodePort of served) {
    const { protocol, family, port } = nodePort;
    const isHostPort = hostPorts.some(
      (h) => h.port === port && h.protocol === protocol && h.family === family,
    );
    if (!isHostPort || seen.has(idOf(nodePort))) continue;
    seen.add(idOf(nodePort));
    findings.push(
      finding(
        'warn',
        idOf(nodePort),
        `a pod of this node has hostPort ${port}, node port ${port}/${protocol} of Service ${nodePort.service}`,
        'the NodePort wins: what comes from outside goes to the Service, not to the pod',
        'give the pod another hostPort, or the Service another nodePort',
      ),
    );
  }
  if (findings.length > 0) return findings.slice(0, SHOWN);
  return [ok('node-ports', `${served.length} NodePorts: no process and no hostPort has their numbers`)];
}

function idOf({ port, protocol }: NodePort): string {
  return `node-ports/${port}-${protocol}`;
}
