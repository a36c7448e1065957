import { names } from './check-network.js';
import type { Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

export function checkCni({ devices, links, sysctls }: Facts): Finding[] {
  const findings: Finding[] = [];
  const of = (deviceClass: string) => devices.filter(({ device }) => device.class === deviceClass);
  const pods = of('pod').map(({ device }) => device);
  const overlays = [...of('overlay'), ...of('layer3')].map(({ device }) => device);
  const master = new Map(links.map((link) => [link.ifindex, link.master]));
  const bridged = pods.filter(({ ifindex }) => master.get(ifindex));
  const bridges = [...new Set(bridged.map(({ ifindex }) => master.get(ifindex)))].map(
    (ifindex) => links.find((link) => link.ifindex === ifindex)?.name ?? '?',
  );
  if (pods.length === 0) {
    findings.push(
      finding(
        'info',
        'cni',
        'no device leads to a pod',
        'the kind of CNI cannot be told until the first pod of its own network runs here',
      ),
    );
  } else if (bridged.length > 0) {
    findings.push(
      ok(
        'cni',
        `bridge CNI: ${bridged.length} of ${pods.length} pod devices are ports of ${names(bridges)}; Shunt hangs on each port`,
      ),
      bridgeNetfilter(sysctls['net/bridge/bridge-nf-call-iptables']),
    );
  } else
    findings.push(
      ok('cni', `routed CNI (ptp, kindnet, Calico): ${pods.length} pod devices without a bridge`),
    );
  if (overlays.length > 0) {
    const uplinkMtu = Math.min(...of('uplink').map(({ device }) => device.mtu));
    for (const { name, kind, mtu } of overlays) {
      const podMtu = Math.max(0, ...pods.map((pod) => pod.mtu));
      if (podMtu > mtu) {
        findings.push(
          finding(
            'warn',
            `overlay/${name}`,
            `${name} (${kind}) has MTU ${mtu}, pods have ${podMtu}`,
            'large packets to backends on other nodes are answered by ICMP errors: senders that ignore them hang',
            "give pods the overlay's MTU in the CNI's configuration",
          ),
        );
      } else if (mtu >= uplinkMtu && kind !== undefined) {
        findings.push(
          finding(
            'warn',
            `overlay/${name}`,
            `${name} (${kind}) has MTU ${mtu}, the uplink ${uplinkMtu}: no room for the tunnel's header`,
            'large packets to backends on other nodes are fragmented or lost',
            `set the MTU of ${name} to the uplink's less its header (vxlan: 50 over IPv4, 70 over IPv6)`,
          ),
        );
      } else {
        findings.push(
          ok(
            `overlay/${name}`,
            `${name} (${kind ?? 'tunnel'}) with MTU ${mtu}: outside clients of remote backends go by tc, XDP hands up`,
          ),
        );
      }
    }
  }
  return findings;
}

function bridgeNetfilter(value: string | undefined): Finding {
  if (value === '1')
    return ok('cni/bridge-nf', 'bridge-nf-call-iptables is 1: bridged packets pass netfilter');
  return finding(
    'info',
    'cni/bridge-nf',
    value === undefined ? 'br_netfilter is not loaded' : 'bridge-nf-call-iptables is 0',
    'Shunt does not need it, kube-proxy does: giving back to kube-proxy breaks replies between pods on one bridge',
    "before giving back: 'modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1'",
  );
}
