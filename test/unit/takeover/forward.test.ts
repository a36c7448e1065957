import { describe, expect, it } from 'vitest';
import { acceptLines, simulate, verdicts, withdrawLines } from '../../../src/takeover/forward.js';
import type { Packet } from '../../../src/takeover/matching.js';
import { forwardSamples, Routes } from '../../../src/takeover/samples.js';
import { parseSave } from '../../../src/takeover/save.js';
import { FakeMachine } from './machine.js';

const KUBE = `:KUBE-FORWARD - [0:0]
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`;

function filter(policy: string, rules: string) {
  // Chains first, as iptables-save has them.
  const lines = rules.split('\n');
  const chains = lines.filter((line) => line.startsWith(':'));
  const others = lines.filter((line) => !line.startsWith(':'));
  const text = [
    '*filter',
    ':INPUT ACCEPT [0:0]',
    `:FORWARD ${policy} [0:0]`,
    ...chains,
    ...others,
    'COMMIT',
    '',
  ];
  return { family: 4 as const, backend: 'nft' as const, tables: parseSave(text.join('\n')) };
}

async function samples() {
  const machine = new FakeMachine();
  const routes = new Routes(await machine.routes(), await machine.links());
  return forwardSamples(4, ['10.244.2.7', '10.244.1.10'], routes);
}

const packet: Packet = {
  ...{ in: 'eth0', out: 'vetha1', src: '203.0.113.7', dst: '10.244.1.10', protocol: 'tcp', dport: 8080 },
  ...{ states: ['NEW'], mark: 0 },
};

describe('verdicts', () => {
  const CASES: [string, string, string, string[]][] = [
    ['the policy', 'DROP', '', ['DROP']],
    ['a source', 'DROP', '-A FORWARD -s 203.0.113.0/24 -j ACCEPT', ['ACCEPT']],
    ['a negated source', 'DROP', '-A FORWARD ! -s 203.0.113.0/24 -j ACCEPT', ['DROP']],
    ['a device with a wildcard', 'DROP', '-A FORWARD -o veth+ -j ACCEPT', ['ACCEPT']],
    ['a port range', 'DROP', '-A FORWARD -p tcp -m tcp --dport 8000:9000 -j ACCEPT', ['ACCEPT']],
    ['a list of ports', 'DROP', '-A FORWARD -p tcp -m multiport --dports 80,8080 -j ACCEPT', ['ACCEPT']],
    ['another protocol', 'DROP', '-A FORWARD -p udp -j ACCEPT', ['DROP']],
    ['a state', 'DROP', '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT', ['DROP']],
    [
      'REJECT is no way through',
      'ACCEPT',
      '-A FORWARD -d 10.244.0.0/16 -j REJECT --reject-with icmp-port-unreachable',
      ['DROP'],
    ],
    ['LOG is no verdict', 'ACCEPT', '-A FORWARD -j LOG --log-prefix "x -j DROP"', ['ACCEPT']],
    [
      'a chain that returns',
      'DROP',
      ':A - [0:0]\n-A FORWARD -j A\n-A FORWARD -j ACCEPT\n-A A -s 10.0.0.0/8 -j DROP\n-A A -j RETURN',
      ['ACCEPT'],
    ],
    [
      'a goto ends in the policy',
      'DROP',
      ':A - [0:0]\n-A FORWARD -g A\n-A FORWARD -j ACCEPT\n-A A -s 10.0.0.0/8 -j DROP',
      ['DROP'],
    ],
    [
      'a match that cannot be judged leaves both',
      'DROP',
      '-A FORWARD -m set --match-set x src -j ACCEPT',
      ['ACCEPT', 'DROP'],
    ],
    [
      'unless the rest of it fails',
      'DROP',
      '-A FORWARD -s 10.0.0.0/8 -m set --match-set x src -j ACCEPT',
      ['DROP'],
    ],
  ];
  it.each(CASES)('%s', (_name, policy, rules, expected) => {
    const table = filter(policy, rules).tables[0];
    expect([...verdicts(table as never, 'FORWARD', packet)].sort()).toEqual(expected);
  });
});

describe('FORWARD without KUBE-FORWARD', () => {
  it('is fine where the policy is ACCEPT', async () => {
    expect(simulate(filter('ACCEPT', KUBE), await samples())).toEqual([]);
  });

  it('is fine where the CNI accepts pods', async () => {
    const cni = '\n-A FORWARD -s 10.244.0.0/16 -j ACCEPT\n-A FORWARD -d 10.244.0.0/16 -j ACCEPT';
    expect(simulate(filter('DROP', KUBE + cni), await samples())).toEqual([]);
  });

  it('cuts what only kube-proxy accepted', async () => {
    const findings = simulate(filter('DROP', KUBE), await samples());
    expect(findings.map((f) => [f.what, f.result])).toEqual([
      ['a connection from outside to a pod of this node', 'cut'],
      ['replies of a pod of this node to a client outside', 'cut'],
      ['further packets from outside to a pod of this node', 'cut'],
      ['replies of a pod of another node to one of this', 'cut'],
      ['replies of a pod of this node to one of another', 'cut'],
    ]);
  });

  it('is not sure where a rule between cannot be judged', async () => {
    const unsure =
      '\n-A FORWARD -m set --match-set pods dst -j ACCEPT\n-A FORWARD -m set --match-set pods src -j ACCEPT';
    const findings = simulate(filter('DROP', KUBE + unsure), await samples());
    expect(new Set(findings.map((f) => f.result))).toEqual(new Set(['unsure']));
  });

  it('is mended by our own chain, in the place of theirs, which can be taken back', () => {
    const rules = `-A FORWARD -s 192.0.2.0/24 -j DROP\n${KUBE}`;
    expect(acceptLines(filter('DROP', rules), ['10.244.0.0/16']).at(-1)).toMatch(
      /^-I FORWARD 2 .* -j SHUNT-FORWARD$/,
    );
    const mended = `${KUBE}\n:SHUNT-FORWARD - [0:0]\n-A FORWARD -j SHUNT-FORWARD\n-A SHUNT-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A SHUNT-FORWARD -d 10.244.0.0/16 -j ACCEPT`;
    const set = filter('DROP', mended);
    expect(verdicts(set.tables[0] as never, 'FORWARD', packet, (chain) => chain === 'KUBE-FORWARD')).toEqual(
      new Set(['ACCEPT']),
    );
    expect(acceptLines(set, [])).toEqual([]);
    expect(withdrawLines(set)).toEqual([
      ':SHUNT-FORWARD - [0:0]',
      '-D FORWARD -j SHUNT-FORWARD',
      '-X SHUNT-FORWARD',
    ]);
  });
});
