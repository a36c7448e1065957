import { describe, expect, it } from 'vitest';
import { isKubeProxyChain, KUBELET_CHAINS } from '../../../src/takeover/names.js';
import { difference } from '../../../src/takeover/perform.js';
import {
  countRules,
  dropChainsScript,
  findOwn,
  foreignLines,
  removalScript,
  servedBy,
  unhookScript,
} from '../../../src/takeover/rules.js';
import { parseSave, splitSpec, targetOf } from '../../../src/takeover/save.js';
import { fillerServices, foreignRules, iptablesRules } from '../../support/kubeproxy/index.js';

const CONFIG = { clusterCidr: { 4: '10.244.0.0/16', 6: 'fd00:244::/32' } };

/** As iptables-save shows it: built-in chains declared, rules in order. */
function saved(...inputs: string[]): string {
  const tables = new Map<string, { chains: string[]; rules: string[] }>();
  for (const input of inputs) {
    let table = { chains: [] as string[], rules: [] as string[] };
    for (const line of input.split('\n')) {
      if (line.startsWith('*')) {
        const builtIn = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];
        table = tables.get(line) ?? { chains: builtIn.map((name) => `:${name} ACCEPT [0:0]`), rules: [] };
        tables.set(line, table);
      } else if (line.startsWith(':')) table.chains.push(line);
      else if (line.startsWith('-I ')) table.rules.unshift(line.replace('-I', '-A'));
      else if (line.startsWith('-A ')) table.rules.push(line);
    }
  }
  return [...tables]
    .flatMap(([name, { chains, rules }]) => [name, ...chains, ...rules, 'COMMIT'])
    .concat('')
    .join('\n');
}

describe('reading iptables-save', () => {
  it('takes tables, chains, rules and targets apart, with and without counters', () => {
    const tables = parseSave(
      '# Generated\n*nat\n:PREROUTING ACCEPT [12:3456]\n:X - [0:0]\n[5:300] -A PREROUTING -p tcp -j X\n-A X -m comment --comment "say \\"-j DROP\\" -j KUBE-SERVICES" -j RETURN\nCOMMIT\n# Completed\n',
    );
    const nat = tables[0];
    expect(nat?.name).toBe('nat');
    expect(nat?.chains.get('PREROUTING')).toMatchObject({
      policy: 'ACCEPT',
      rules: [{ spec: '-p tcp -j X', target: 'X' }],
    });
    expect(nat?.chains.get('X')?.rules[0]?.target).toBe('RETURN');
  });

  it('names the line that it does not know', () => {
    expect(() => parseSave('*nat\nnonsense\n')).toThrow(/line 2 is not known: nonsense/);
    expect(() => parseSave('*nat\n-A NOWHERE -j DROP\n')).toThrow(/line 2 names chain NOWHERE/);
  });

  it('splits a rule into words as a shell would', () => {
    expect(splitSpec('-m comment --comment "a \\"b\\" c" ! -s 10.0.0.0/8')).toEqual([
      '-m',
      'comment',
      '--comment',
      'a "b" c',
      '!',
      '-s',
      '10.0.0.0/8',
    ]);
    expect(targetOf('-m mark --mark 0x1 -g CHAIN')).toBe('CHAIN');
    expect(targetOf('-m comment --comment "no target"')).toBe('');
  });
});

describe('ownership', () => {
  it.each([
    ...['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ', 'KUBE-PROXY-CANARY'],
    ...[
      'KUBE-SVC-TCOU7JCQXEZGVUNU',
      'KUBE-SEP-6E7XQMQ4RAYOWTTM',
      'KUBE-EXT-TCOU7JCQXEZGVUNU',
      'KUBE-FW-TCOU7JCQXEZGVUNU',
    ],
  ])("%s in nat is kube-proxy's", (chain) => expect(isKubeProxyChain('nat', chain)).toBe(true));

  it.each(['KUBE-EXTERNAL-SERVICES', 'KUBE-FORWARD', 'KUBE-PROXY-FIREWALL', 'KUBE-NODEPORTS'])(
    '%s in filter is',
    (chain) => expect(isKubeProxyChain('filter', chain)).toBe(true),
  );

  it.each([
    ...KUBELET_CHAINS.map((chain) => ['nat', chain] as const),
    ...KUBELET_CHAINS.map((chain) => ['filter', chain] as const),
    ...([
      ['nat', 'KUBE-ROUTER-X'],
      ['nat', 'KUBE-HOSTPORTS'],
      ['nat', 'KUBE-SVC-lower'],
      ['raw', 'KUBE-SERVICES'],
    ] as const),
    ...([
      ['mangle', 'KUBE-SVC-TCOU7JCQXEZGVUNU'],
      ['nat', 'MY-KUBE-SERVICES'],
    ] as const),
  ])('%s %s is not', (table, chain) => expect(isKubeProxyChain(table, chain)).toBe(false));
});

describe('removal', () => {
  const ports = fillerServices(2, 4);
  const text = saved(foreignRules(4), iptablesRules(ports, CONFIG, 4));
  const tables = parseSave(text);

  it('is one transaction per table (golden)', async () => {
    await expect(removalScript(findOwn(tables))).toMatchFileSnapshot('golden/removal-2-services.txt');
  });

  it('of the nft variant: unhooked by iptables, dropped by nft (golden)', async () => {
    const own = findOwn(tables);
    const text = `${unhookScript(own)}# nft\n${dropChainsScript(own, 4)}`;
    await expect(text).toMatchFileSnapshot('golden/removal-nft-2-services.txt');
  });

  it('leaves exactly the rules of others, byte for byte', () => {
    expect(foreignLines(tables, () => false)).toEqual(
      foreignLines(parseSave(saved(foreignRules(4))), () => false),
    );
  });

  it('keeps a chain that somebody else uses, with what it needs', () => {
    const hostPorts =
      '*nat\n:KUBE-HOSTPORTS - [0:0]\n-A KUBE-HOSTPORTS -s 10.244.0.0/16 -j KUBE-MARK-MASQ\nCOMMIT\n';
    const own = findOwn(parseSave(saved(hostPorts, iptablesRules(ports, CONFIG, 4))));
    const nat = own.tables.find(({ table }) => table === 'nat');
    expect(own.kept).toEqual([
      { table: 'nat', chain: 'KUBE-MARK-MASQ', usedBy: 'KUBE-HOSTPORTS' },
      { table: 'nat', chain: 'KUBE-POSTROUTING', usedBy: 'KUBE-MARK-MASQ' },
    ]);
    expect(nat?.chains).not.toContain('KUBE-MARK-MASQ');
    expect(nat?.jumps.map((jump) => jump.target)).toEqual(['KUBE-SERVICES', 'KUBE-SERVICES']);
  });

  it("is nothing where nothing is kube-proxy's", () => {
    expect(removalScript(findOwn(parseSave(saved(foreignRules(4)))))).toBe('');
  });

  it('knows what the rules serve', () => {
    const { ports: served, endpoints } = servedBy(tables);
    expect(served).toEqual([
      { service: 'filler/service-0', ip: '10.100.0.0', port: 80, protocol: 'TCP' },
      { service: 'filler/service-1', ip: '10.100.0.1', port: 80, protocol: 'TCP' },
    ]);
    expect(endpoints).toHaveLength(6);
    const six = servedBy(parseSave(saved(iptablesRules(fillerServices(1, 6), CONFIG, 6))));
    expect(six.ports[0]?.ip).toBe('fd00:100::0');
    expect(six.endpoints[0]).toBe('fd00:244:11::0');
  });

  it('reads and plans 10,000 services at once', { timeout: 30_000 }, () => {
    const large = saved(iptablesRules(fillerServices(10_000, 4), CONFIG, 4));
    const began = performance.now();
    const own = findOwn(parseSave(large));
    expect(countRules(own)).toBeGreaterThan(110_000);
    expect(removalScript(own).split('\n').length).toBeGreaterThan(80_000);
    // A tenth of that on an idle machine; what grows with the square would take minutes.
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});

describe('comparing what is left', () => {
  it('tells additions, removals and moves', () => {
    expect(difference(['a', 'b'], ['a', 'b'])).toEqual([]);
    expect(difference(['a', 'b'], ['a', 'c'])).toEqual(['- b', '+ c']);
    expect(difference(['a', 'a'], ['a'])).toEqual(['- a']);
    expect(difference(['a', 'b'], ['b', 'a'])).toEqual(['moved: a']);
  });
});
