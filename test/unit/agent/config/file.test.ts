import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseConfiguration } from '../../../../src/agent/config/read.js';
import type { AgentOptions } from '../../../../src/agent/options.js';
import { run } from '../../cli/fake.js';

const HEAD = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';

/** What kubeadm writes into ConfigMap kube-system/kube-proxy, key config.conf: every field, most of them unset. */
const KUBEADM = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: ""
  burst: 0
  contentType: ""
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 0
clusterCIDR: 10.244.0.0/16,fd00:10:244::/56
configSyncPeriod: 0s
conntrack:
  maxPerCore: null
  min: null
  tcpBeLiberal: false
  tcpCloseWaitTimeout: null
  tcpEstablishedTimeout: null
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: ""
  interfaceNamePrefix: ""
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables:
  localhostNodePorts: null
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: ""
  strictARP: false
  syncPeriod: 0s
  tcpFinTimeout: 0s
  tcpTimeout: 0s
  udpTimeout: 0s
kind: KubeProxyConfiguration
logging:
  flushFrequency: 0
  options:
    json:
      infoBufferSize: "0"
    text:
      infoBufferSize: "0"
  verbosity: 0
metricsBindAddress: ""
mode: ""
nftables:
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel:
  enableDSR: false
  forwardHealthCheckVip: false
  networkName: ""
  rootHnsEndpointName: ""
  sourceVip: ""
`;

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'shunt-config-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function agent(text: string, ...args: string[]) {
  const file = join(directory, 'config.conf');
  writeFileSync(file, text);
  let options: AgentOptions | undefined;
  const result = await run(['agent', '--config', file, ...args], {
    env: { KUBERNETES_SERVICE_HOST: '10.96.0.1' },
    runAgent: async (given) => {
      options = given;
      return 0;
    },
  });
  return { ...result, file, options };
}

describe('a KubeProxyConfiguration', () => {
  it("kubeadm's works unchanged, with kubeadm's own flags and without a warning", async () => {
    const { code, err, options } = await agent(KUBEADM, '--hostname-override=node-1', '--replace-kube-proxy');
    expect([code, err]).toEqual([0, '']);
    expect(options).toMatchObject({
      source: { kind: 'kubeconfig', path: '/var/lib/kube-proxy/kubeconfig.conf' },
      nodeName: 'node-1',
      clusterCIDRs: ['10.244.0.0/16', 'fd00:10:244::/56'],
      nodePortAddresses: [],
      masqueradeAll: false,
      healthzBindAddress: '0.0.0.0:10256',
      metricsBindAddress: '127.0.0.1:10249',
      healthStaleS: 60,
      proxyMode: 'iptables',
      logLevel: 'info',
      flowTimeouts: {},
      warnings: [],
    });
  });

  it('an empty one is enough, in YAML or JSON', async () => {
    expect((await agent(HEAD)).options?.warnings).toEqual([]);
    expect((await agent(JSON.stringify(parse(KUBEADM)))).code).toBe(0);
  });

  it.each<[string, Partial<AgentOptions>]>([
    ['replaceKubeProxy: true', { replaceKubeProxy: true, healthzBindAddress: '0.0.0.0:10256' }],
    [
      'mode: nftables\nnftables: { masqueradeAll: true }',
      { masqueradeAll: true, nodePortAddresses: ['primary'] },
    ],
    ['mode: iptables\nnftables: { masqueradeAll: true }', { masqueradeAll: false }],
    ['nodePortAddresses: [10.0.0.0/8]', { nodePortAddresses: ['10.0.0.0/8'] }],
    ['mode: ipvs\nipvs: { syncPeriod: 5s }', { healthStaleS: 10, proxyMode: 'ipvs' }],
    ['metricsBindAddress: 0.0.0.0:10249', { metricsBindAddress: '0.0.0.0:10249' }],
    ['hostnameOverride: Other', { nodeName: 'other' }],
    ['oomScoreAdj: -5', { oomScoreAdj: -5 }],
    [
      'conntrack: { tcpEstablishedTimeout: 1h, tcpCloseWaitTimeout: 1m }',
      { flowTimeouts: { establishedS: 3600, halfClosedS: 60 } },
    ],
    ['logging: { verbosity: 5, format: json }', { logLevel: 'debug' }],
    ['bindAddressHardFail: true', { bindAddressHardFail: true }],
  ])('%s', async (text, expected) => {
    expect((await agent(HEAD + text)).options).toMatchObject(expected);
  });

  it.each<[string, RegExp]>([
    ['featureGates: { A: true }', /featureGates\.A has no effect/],
    ['conntrack: { maxPerCore: 1 }', /conntrack\.maxPerCore has no effect/],
    ['ipvs: { strictARP: true }', /ipvs\.strictARP has no effect/],
    ['iptables: { localhostNodePorts: false }', /iptables\.localhostNodePorts has no effect/],
    ['udpIdleTimeout: 250ms', /udpIdleTimeout has no effect/],
    ['winkernel: { networkName: x }', /winkernel\.networkName has no effect.*Linux/],
    ['mode: ipvs', /proxy mode ipvs: the data path is eBPF/],
  ])('%s is accepted, and a warning says why it does nothing', async (text, message) => {
    const { code, options } = await agent(HEAD + text);
    expect(code).toBe(0);
    expect(options?.warnings).toHaveLength(1);
    expect(options?.warnings[0]).toMatch(message);
  });

  it('replaceKubeProxy: true is the flag --replace-kube-proxy in everything', async () => {
    const byFile = (await agent(`${KUBEADM}replaceKubeProxy: true\n`)).options;
    const byFlag = (await agent(KUBEADM, '--replace-kube-proxy')).options;
    expect(byFile?.replaceKubeProxy).toBe(true);
    expect(byFile).toEqual(byFlag);
    expect((await agent(KUBEADM)).options).not.toEqual(byFlag);
  });

  it('is beaten by flags, field by field', async () => {
    const text = `${KUBEADM.replace('mode: ""', 'mode: nftables')}replaceKubeProxy: true\n`;
    const flags = ['--cluster-cidr=10.9.0.0/16', '--proxy-mode=iptables', '--replace-kube-proxy=false'];
    const { options } = await agent(text, ...flags, '--kubeconfig=/other', '-v=4', '--masquerade-all');
    expect(options).toMatchObject({
      source: { kind: 'kubeconfig', path: '/other' },
      clusterCIDRs: ['10.9.0.0/16'],
      proxyMode: 'iptables',
      nodePortAddresses: [],
      replaceKubeProxy: false,
      masqueradeAll: true,
      logLevel: 'debug',
    });
    expect((await agent(text, '--healthz-bind-address=')).options?.healthzBindAddress).toBe('');
  });

  it('comes back whole from /configz and --write-config-to', async () => {
    const written = join(directory, 'written.yaml');
    const text = `${HEAD}clusterCIDR: 10.1.0.0/16\nconfigSyncPeriod: 0s\n`;
    const { code, options } = await agent(text, '--replace-kube-proxy', '--write-config-to', written);
    expect([code, options]).toEqual([0, undefined]);
    const configuration = parse(readFileSync(written, 'utf8'));
    expect(configuration).toMatchObject({
      kind: 'KubeProxyConfiguration',
      clusterCIDR: '10.1.0.0/16',
      configSyncPeriod: '15m0s',
      healthzBindAddress: '0.0.0.0:10256',
      mode: 'iptables',
      replaceKubeProxy: true,
    });
    const again = await agent(readFileSync(written, 'utf8'));
    expect(again.options?.configz).toEqual(configuration);
  });
});

describe('broken files, each with its precise error', () => {
  const BROKEN: [name: string, text: string, error: string][] = [
    [
      'wrong kind of document',
      'apiVersion: v1\nkind: ConfigMap\n',
      'apiVersion: "v1" is not kubeproxy.config.k8s.io/v1alpha1',
    ],
    ['no YAML', `${HEAD}mode: [ipvs\n`, 'line 4, column 1: '],
    [
      'a key twice',
      `${HEAD}mode: ipvs\nmode: iptables\n`,
      'line 4, column 1: Map keys must be unique; correct the YAML',
    ],
    ['nothing at all', '# only a comment\n', 'document: there is none; write a KubeProxyConfiguration'],
    [
      'an unknown field',
      `${HEAD}iptables: { masqueradAll: true }`,
      'iptables.masqueradAll: is no field of a KubeProxyConfiguration here; did you mean masqueradeAll?',
    ],
    [
      'a number that is text',
      `${HEAD}conntrack: { maxPerCore: many }`,
      'conntrack.maxPerCore: "many" is no whole number from 0 to 2147483647',
    ],
    [
      'a bool that is text',
      `${HEAD}iptables: { masqueradeAll: "true" }`,
      'iptables.masqueradeAll: "true" is neither true nor false',
    ],
    [
      'a duration without a unit',
      `${HEAD}configSyncPeriod: "15"`,
      'configSyncPeriod: "15" is no duration; write it like 30s or 1h30m',
    ],
    [
      'an unknown mode',
      `${HEAD}mode: userspace`,
      'mode: "userspace" is no proxy mode of Linux; it is one of iptables, ipvs, nftables',
    ],
    [
      'a range that is an address',
      `${HEAD}nodePortAddresses: [10.0.0.0/8, 10.0.0.1]`,
      'nodePortAddresses[1]: "10.0.0.1" is no address range; write it like 10.0.0.0/8 or fd00::/8, or primary',
    ],
    [
      'primary and ranges',
      `${HEAD}nodePortAddresses: [primary, 10.0.0.0/8]`,
      'nodePortAddresses: ["primary","10.0.0.0/8"] has primary and address ranges; it is one or the other',
    ],
    [
      'a bad pod range',
      `${HEAD}clusterCIDR: 10.244.0.0/33`,
      'clusterCIDR: "10.244.0.0/33" is no address range; write it like 10.0.0.0/8 or fd00::/8',
    ],
    [
      'a host name to bind to',
      `${HEAD}healthzBindAddress: localhost:10256`,
      'healthzBindAddress: "localhost:10256" is no address with a port; write it like 0.0.0.0:10256 or [::]:10256',
    ],
    ['out of range', `${HEAD}oomScoreAdj: -1001`, 'oomScoreAdj: -1001 is no whole number from -1000 to 1000'],
    [
      'a section that is text',
      `${HEAD}ipvs: rr`,
      'ipvs: "rr" is no section; write its fields below it, or take it out (EINVAL)',
    ],
    [
      'what belongs together',
      `${HEAD}detectLocalMode: BridgeInterface`,
      'detectLocal.bridgeInterface: is missing, which detectLocalMode BridgeInterface needs; name it',
    ],
    [
      'periods that contradict',
      `${HEAD}nftables: { syncPeriod: 5s, minSyncPeriod: 10s }`,
      'nftables.minSyncPeriod: is longer than nftables.syncPeriod; make it shorter',
    ],
  ];
  it.each(BROKEN)('%s', async (_, text, error) => {
    const { code, err, file, options } = await agent(text);
    const [line] = err.split('\n');
    expect(line?.startsWith(`shunt: read config ${file}: `), err).toBe(true);
    expect(err).toContain(error);
    expect([code, options]).toEqual([2, undefined]);
  });

  it('names every mistake, not only the first', async () => {
    const { err } = await agent(
      `${HEAD}mode: x\nconntrack: { min: -1, tcpBeLiberal: 1 }\nbindAdress: 1.2.3.4\n`,
    );
    expect(err).toMatch(/4 mistakes/);
    for (const path of ['mode', 'conntrack.min', 'conntrack.tcpBeLiberal', 'bindAdress']) {
      expect(err).toMatch(new RegExp(`^ {2}${path.replace('.', '\\.')}: `, 'm'));
    }
  });

  it('a file that is not there', async () => {
    const { err, code } = await run(['agent', '--config', '/nonexistent']);
    expect(err).toBe('shunt: read config /nonexistent: no such file (ENOENT). name a file with --config\n');
    expect(code).toBe(2);
  });

  it('takes the right one of several documents', () => {
    const text = `apiVersion: v1\nkind: ConfigMap\n---\n${HEAD}mode: ipvs\n`;
    expect(parseConfiguration(text, 'x').mode).toBe('ipvs');
  });
});
