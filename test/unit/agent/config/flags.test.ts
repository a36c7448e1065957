import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../../../src/agent/config/duration.js';
import { KUBE_PROXY_FLAGS } from '../../../../src/agent/config/flags.js';
import type { AgentOptions } from '../../../../src/agent/options.js';
import { run } from '../../cli/fake.js';

async function agent(...args: string[]) {
  let options: AgentOptions | undefined;
  const result = await run(['agent', '--manifests', 'm', '--hostname-override', 'n1', ...args], {
    runAgent: async (given) => {
      options = given;
      return 0;
    },
    cleanUp: () => ({ removed: ['pins'], problems: [] }),
  });
  return { ...result, options };
}

type Expected =
  | { effect: Partial<AgentOptions> }
  | { warning: RegExp }
  | { refused: RegExp }
  /** It does something else than run the agent. */
  | { instead: RegExp };

const warning = (text: RegExp): Expected => ({ warning: text });
const LINES = warning(/lines are JSON/);
const IPVS = warning(/no ipvs/);
const API = warning(/API server sees/);
const RULES = warning(/no rules to refresh/);

/** Every flag of kube-proxy's current release (and those that logging libraries and old releases had). */
const ROWS: [flag: string, args: string[], expected: Expected][] = [
  // What has an effect.
  [
    'bind-address',
    ['--bind-address', '::'],
    { effect: { healthzBindAddress: '[::]:10276', metricsBindAddress: '[::1]:10269' } },
  ],
  ['bind-address-hard-fail', ['--bind-address-hard-fail'], { effect: { bindAddressHardFail: true } }],
  [
    'cluster-cidr',
    ['--cluster-cidr=10.1.0.0/16,fd00::/64'],
    { effect: { clusterCIDRs: ['10.1.0.0/16', 'fd00::/64'] } },
  ],
  [
    'conntrack-tcp-timeout-close-wait',
    ['--conntrack-tcp-timeout-close-wait=90s'],
    { effect: { flowTimeouts: { halfClosedS: 90 } } },
  ],
  [
    'conntrack-tcp-timeout-established',
    ['--conntrack-tcp-timeout-established', '2h'],
    { effect: { flowTimeouts: { establishedS: 7200 } } },
  ],
  [
    'detect-local-mode',
    ['--detect-local-mode=NodeCIDR', '--cluster-cidr=10.1.0.0/16'],
    { effect: { clusterCIDRs: [] } },
  ],
  [
    'healthz-bind-address',
    ['--healthz-bind-address', '127.0.0.1:1'],
    { effect: { healthzBindAddress: '127.0.0.1:1' } },
  ],
  ['healthz-bind-address', ['--healthz-bind-address='], { effect: { healthzBindAddress: '' } }],
  ['hostname-override', ['--hostname-override', 'Node-7'], { effect: { nodeName: 'node-7' } }],
  ['iptables-sync-period', ['--iptables-sync-period', '10s'], { effect: { healthStaleS: 20 } }],
  [
    'ipvs-sync-period',
    ['--ipvs-sync-period', '1m', '--proxy-mode', 'ipvs'],
    { effect: { healthStaleS: 120 } },
  ],
  ['masquerade-all', ['--masquerade-all'], { effect: { masqueradeAll: true } }],
  ['masquerade-all', ['--masquerade-all=false'], { effect: { masqueradeAll: false } }],
  [
    'metrics-bind-address',
    ['--metrics-bind-address', '0.0.0.0:9'],
    { effect: { metricsBindAddress: '0.0.0.0:9' } },
  ],
  [
    'nodeport-addresses',
    ['--nodeport-addresses', '10.0.0.0/8', '--nodeport-addresses', 'fd00::/8'],
    { effect: { nodePortAddresses: ['10.0.0.0/8', 'fd00::/8'] } },
  ],
  ['nodeport-addresses', ['--nodeport-addresses', 'primary'], { effect: { nodePortAddresses: ['primary'] } }],
  ['oom-score-adj', ['--oom-score-adj', '-999'], { effect: { oomScoreAdj: -999 } }],
  [
    'pod-interface-name-prefix',
    ['--pod-interface-name-prefix=cali', '--detect-local-mode=InterfaceNamePrefix'],
    { effect: { devices: { pod: ['cali*'], uplink: [], overlay: [], ignore: [] } } },
  ],
  [
    'proxy-mode',
    ['--proxy-mode', 'nftables'],
    { effect: { proxyMode: 'nftables', nodePortAddresses: ['primary'] } },
  ],
  ['v', ['-v', '4'], { effect: { logLevel: 'debug' } }],
  ['v', ['-v=6'], { effect: { logLevel: 'trace' } }],
  ['v', ['--v=2'], { effect: { logLevel: 'info' } }],
  // What ends otherwise.
  ['cleanup', ['--cleanup'], { instead: /removed pins/ }],
  ['init-only', ['--init-only'], { instead: /nothing to prepare/ }],
  ['version', ['--version=raw'], { instead: /^Shunt 9\.9\.9/ }],
  ['version', ['--version'], { instead: /^9\.9\.9/ }],
  // What does nothing here.
  ['boot-id-file', ['--boot-id-file', '/x'], warning(/boot is not looked up/)],
  ['machine-id-file', ['--machine-id-file', '/x'], warning(/machine is not looked up/)],
  ['config-sync-period', ['--config-sync-period', '5m'], warning(/watches/)],
  ['conntrack-max-per-core', ['--conntrack-max-per-core=0'], warning(/nf_conntrack_max/)],
  ['conntrack-min', ['--conntrack-min=1'], warning(/nf_conntrack_max/)],
  ['conntrack-tcp-be-liberal', ['--conntrack-tcp-be-liberal'], warning(/be_liberal/)],
  ['conntrack-udp-timeout', ['--conntrack-udp-timeout=30s'], warning(/nf_conntrack_udp_timeout/)],
  ['conntrack-udp-timeout-stream', ['--conntrack-udp-timeout-stream=30s'], warning(/udp_timeout_stream/)],
  ['feature-gates', ['--feature-gates', 'A=true,B=false'], warning(/no feature gates/)],
  ['iptables-localhost-nodeports', ['--iptables-localhost-nodeports=false'], warning(/--nodeport-addresses/)],
  ['iptables-masquerade-bit', ['--iptables-masquerade-bit=14'], warning(/marked/)],
  ['iptables-min-sync-period', ['--iptables-min-sync-period=1s'], RULES],
  ['ipvs-exclude-cidrs', ['--ipvs-exclude-cidrs', '10.0.0.0/8'], IPVS],
  ['ipvs-min-sync-period', ['--ipvs-min-sync-period=1s'], RULES],
  ['ipvs-scheduler', ['--ipvs-scheduler', 'rr'], warning(/--default-algorithm/)],
  ['ipvs-strict-arp', ['--ipvs-strict-arp'], warning(/ARP/)],
  ['ipvs-tcp-timeout', ['--ipvs-tcp-timeout', '1s'], IPVS],
  ['ipvs-tcpfin-timeout', ['--ipvs-tcpfin-timeout', '1s'], IPVS],
  ['ipvs-udp-timeout', ['--ipvs-udp-timeout', '1s'], IPVS],
  ['kube-api-burst', ['--kube-api-burst', '10'], API],
  ['kube-api-content-type', ['--kube-api-content-type', 'application/json'], API],
  ['kube-api-qps', ['--kube-api-qps', '5.5'], API],
  ['log-flush-frequency', ['--log-flush-frequency', '5s'], LINES],
  ['log-json-info-buffer-size', ['--log-json-info-buffer-size', '64Ki'], LINES],
  ['log-json-split-stream', ['--log-json-split-stream'], LINES],
  ['log-text-info-buffer-size', ['--log-text-info-buffer-size', '0'], LINES],
  ['log-text-split-stream', ['--log-text-split-stream'], LINES],
  ['logging-format', ['--logging-format', 'text'], LINES],
  ['pod-bridge-interface', ['--pod-bridge-interface', 'br0'], warning(/bridge/)],
  ['profiling', ['--profiling'], warning(/Go profiles/)],
  ['proxy-port-range', ['--proxy-port-range', '0-0'], warning(/userspace/)],
  [
    'show-hidden-metrics-for-version',
    ['--show-hidden-metrics-for-version', '1.35'],
    warning(/no metric is hidden/),
  ],
  ['vmodule', ['--vmodule', 'a=1'], LINES],
  ['add-dir-header', ['--add_dir_header'], LINES],
  ['alsologtostderr', ['--alsologtostderr'], LINES],
  ['log-backtrace-at', ['--log_backtrace_at', ':0'], LINES],
  ['log-dir', ['--log_dir=/x'], LINES],
  ['log-file', ['--log_file=/x'], LINES],
  ['log-file-max-size', ['--log_file_max_size=1800'], LINES],
  ['logtostderr', ['--logtostderr=true'], LINES],
  ['one-output', ['--one_output'], LINES],
  ['skip-headers', ['--skip_headers'], LINES],
  ['skip-log-headers', ['--skip_log_headers'], LINES],
  ['stderrthreshold', ['--stderrthreshold=2'], LINES],
  // Of Windows only, and of nobody.
  ['windows-service', ['--windows-service'], { refused: /unknown option '--windows-service'/ }],
  ['source-vip', ['--source-vip', '1.2.3.4'], { refused: /unknown option '--source-vip'/ }],
  ['masquerade-al', ['--masquerade-al'], { refused: /unknown option '--masquerade-al'/ }],
];

/** They need a world around them; their tests are named there. */
const ELSEWHERE: Record<string, string> = {
  config: 'file.test.ts',
  'write-config-to': 'file.test.ts',
  kubeconfig: 'below',
  master: 'below',
};

describe('kube-proxy flags: each has an effect, a warning, or is refused', () => {
  it.each(ROWS)('--%s %j', async (_, args, expected) => {
    const { code, out, err, options } = await agent(...args);
    if ('refused' in expected) {
      expect(err).toMatch(expected.refused);
      expect(code).toBe(2);
      return;
    }
    if ('instead' in expected) {
      expect(out + err).toMatch(expected.instead);
      expect([code, options]).toEqual([0, undefined]);
      return;
    }
    expect(err).toBe('');
    expect(code).toBe(0);
    if ('effect' in expected) expect(options).toMatchObject(expected.effect);
    else {
      expect(options?.warnings).toHaveLength(1);
      expect(options?.warnings[0]).toMatch(expected.warning);
      expect(options?.warnings[0]).toMatch(/^use --[a-z-]+: no effect\. /);
    }
  });

  it('the table is complete', () => {
    const rows = new Set([...ROWS.map(([flag]) => flag), ...Object.keys(ELSEWHERE)]);
    expect(KUBE_PROXY_FLAGS.map(({ name }) => name).filter((name) => !rows.has(name))).toEqual([]);
  });

  it('holds every flag that kube-proxy 1.30 prints, and the newer ones', () => {
    const known = new Set(KUBE_PROXY_FLAGS.map(({ name }) => name));
    expect(UPSTREAM.split(' ').filter((name) => !known.has(name))).toEqual([]);
  });

  it('without any, nothing is warned about', async () => {
    expect((await agent()).options?.warnings).toEqual([]);
  });

  it.each<[string[], RegExp]>([
    [['--masquerade-all=yes'], /use --masquerade-all 'yes': neither true nor false/],
    [['--oom-score-adj', '1001'], /use --oom-score-adj '1001': is no whole number from -1000 to 1000/],
    [['--oom-score-adj', 'x'], /use --oom-score-adj 'x': not a whole number/],
    [
      ['--iptables-masquerade-bit', '32'],
      /use --iptables-masquerade-bit '32': is no whole number from 0 to 31/,
    ],
    [['--cluster-cidr', '10.0.0.0'], /use --cluster-cidr '10\.0\.0\.0': is no address range/],
    [['--nodeport-addresses', 'primary,10.0.0.0/8'], /use --nodeport-addresses .*one or the other/],
    [['--nodeport-addresses', '10.0.0.0/8,x'], /use --nodeport-addresses .*is no address range/],
    [['--proxy-mode', 'userspace'], /use --proxy-mode 'userspace': is no proxy mode of Linux\. it is one of/],
    [
      ['--conntrack-tcp-timeout-established', '5'],
      /use --conntrack-tcp-timeout-established '5': is no duration/,
    ],
    [
      ['--healthz-bind-address', 'localhost:1'],
      /use --healthz-bind-address 'localhost:1': is no address with a port/,
    ],
    [['--feature-gates', 'A'], /use --feature-gates 'A': write it like A=true/],
    [['--kube-api-qps', 'many'], /use --kube-api-qps 'many': not a number/],
    [['--detect-local-mode', 'InterfaceNamePrefix'], /detectLocal\.interfaceNamePrefix is missing/],
    [
      ['--iptables-min-sync-period=1m', '--iptables-sync-period=30s'],
      /minSyncPeriod is longer than iptables\.syncPeriod/,
    ],
  ])('%j is refused', async (args, message) => {
    const { code, err, options } = await agent(...args);
    expect(err).toMatch(message);
    expect([code, options]).toEqual([2, undefined]);
  });
});

describe('where objects come from', () => {
  async function source(args: string[], env = {}) {
    let options: AgentOptions | undefined;
    await run(['agent', ...args], {
      env,
      runAgent: async (given) => {
        options = given;
        return 0;
      },
    });
    return options?.source;
  }
  const pod = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
  const server = 'https://10.0.0.1:6443';
  it.each<[string[], object, object]>([
    [['--kubeconfig', '/k'], {}, { kind: 'kubeconfig', path: '/k' }],
    [['--kubeconfig', '/k', '--master', server], {}, { kind: 'kubeconfig', path: '/k', server }],
    [['--master', server], pod, { kind: 'in-cluster', server }],
    [['--master', server], {}, { kind: 'server', server }],
    [[], pod, { kind: 'in-cluster' }],
  ])('%j', async (args, env, expected) => expect(await source(args, env)).toEqual(expected));
});

describe('ports', () => {
  const [health, metrics] = ['healthzBindAddress', 'metricsBindAddress'] as const;
  it.each<[string[], string, string]>([
    [[], '0.0.0.0:10276', '127.0.0.1:10269'],
    [['--replace-kube-proxy'], '0.0.0.0:10256', '127.0.0.1:10249'],
    [['--replace-kube-proxy', '--bind-address=::'], '[::]:10256', '[::1]:10249'],
    [['--replace-kube-proxy=false'], '0.0.0.0:10276', '127.0.0.1:10269'],
  ])('%j', async (args, healthz, metricsAddress) => {
    const { options } = await agent(...args);
    expect([options?.[health], options?.[metrics]]).toEqual([healthz, metricsAddress]);
  });
});

describe('--help', () => {
  it('has the flags in groups', async () => {
    const { out } = await run(['agent', '--help']);
    const headings = out.split('\n').filter((line) => /^\S.*:$/.test(line));
    expect(headings).toEqual(
      expect.arrayContaining([
        'Configuration (flags beat the file):',
        'What is served, and how:',
        'Health, metrics and log:',
        'Data path:',
        "kube-proxy's, accepted with a warning that says why they do nothing:",
      ]),
    );
    for (const { name } of KUBE_PROXY_FLAGS) expect(out).toContain(`--${name}`);
  });
});

describe('parseDuration', () => {
  it.each<[string, number | undefined]>([
    ['0', 0],
    ['0s', 0],
    ['15m0s', 900_000],
    ['1.5h', 5_400_000],
    ['1h2m3s4ms', 3_723_004],
    ['-5s', -5000],
    ['5', undefined],
    ['', undefined],
    ['5 s', undefined],
    ['s', undefined],
  ])('%s', (text, ms) => expect(parseDuration(text)).toBe(ms));
});

/** As its --help lists them, "help" left out. */
const UPSTREAM =
  'bind-address bind-address-hard-fail boot-id-file cleanup cluster-cidr config config-sync-period conntrack-max-per-core conntrack-min conntrack-tcp-be-liberal conntrack-tcp-timeout-close-wait conntrack-tcp-timeout-established conntrack-udp-timeout conntrack-udp-timeout-stream detect-local-mode feature-gates healthz-bind-address hostname-override init-only iptables-localhost-nodeports iptables-masquerade-bit iptables-min-sync-period iptables-sync-period ipvs-exclude-cidrs ipvs-min-sync-period ipvs-scheduler ipvs-strict-arp ipvs-sync-period ipvs-tcp-timeout ipvs-tcpfin-timeout ipvs-udp-timeout kube-api-burst kube-api-content-type kube-api-qps kubeconfig log-flush-frequency log-json-info-buffer-size log-json-split-stream log-text-info-buffer-size log-text-split-stream logging-format machine-id-file masquerade-all master metrics-bind-address nodeport-addresses oom-score-adj pod-bridge-interface pod-interface-name-prefix profiling proxy-mode proxy-port-range show-hidden-metrics-for-version v version vmodule write-config-to';
