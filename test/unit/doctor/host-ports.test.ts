import { expect, it } from 'vitest';
import { hostPortsOf } from '../../../src/doctor/host-ports.js';

it('reads hostPorts out of the rules of the plugin portmap and of the kubelet, and of no others', () => {
  const text = [
    '*nat',
    ':CNI-HOSTPORT-DNAT - [0:0]',
    '-A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT',
    String.raw`-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"cbr0\" id: \"1\"" -m multiport --dports 8080,8443 -j CNI-DN-1`,
    '-A CNI-DN-1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.244.1.5:80',
    '-A KUBE-HOSTPORTS -p udp -m comment --comment "web hostport 5353" -m udp --dport 5353 -j KUBE-HP-1',
    'COMMIT',
  ].join('\n');
  expect(hostPortsOf(text, 6)).toEqual([
    { protocol: 'TCP', family: 6, port: 8080 },
    { protocol: 'TCP', family: 6, port: 8443 },
    { protocol: 'UDP', family: 6, port: 5353 },
  ]);
});
