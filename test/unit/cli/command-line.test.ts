import { describe, expect, it } from 'vitest';
import type { AgentOptions } from '../../../src/agent/options.js';
import { CliError } from '../../../src/cli/errors.js';
import { run } from './fake.js';

describe('wrong command lines end with code 2 and one sentence', () => {
  it.each([
    [['nonsense'], "shunt: unknown command 'nonsense'"],
    [['services', '--nonsense'], "shunt: unknown option '--nonsense'"],
    [['services', 'extra'], "shunt: too many arguments for 'services'. Expected 0 arguments but got 1."],
    [
      ['services', '-o', 'xml'],
      "shunt: option '-o, --output <format>' argument 'xml' is invalid. Allowed choices are table, wide, json, yaml.",
    ],
    [['services', '-n'], "shunt: option '-n, --namespace <name>' argument missing"],
  ])('%s', async (args, sentence) => {
    const { code, out, err } = await run(args);
    expect(err).toBe(`${sentence}\nrun it with --help to see what it takes\n`);
    expect(out).toBe('');
    expect(code).toBe(2);
  });

  it('no command at all prints the help', async () => {
    const { code, err } = await run([]);
    expect(err).toMatch(/^Usage: shunt \[options\] \[command\]/);
    expect(code).toBe(2);
  });
});

describe('help and version', () => {
  it('--help goes to stdout and is no failure', async () => {
    const { code, out } = await run(['services', '--help']);
    expect(out).toMatch(/^Usage: shunt services \[options\]/);
    expect(code).toBe(0);
  });

  it('help COMMAND is COMMAND --help', async () => {
    const { code, out } = await run(['help', 'services']);
    expect(out).toMatch(/^Usage: shunt services \[options\]/);
    expect(code).toBe(0);
  });

  it('--version', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, out: '9.9.9\n', err: '' });
  });
});

describe('failures', () => {
  const refuse = (error: Error) => () => {
    throw error;
  };

  it('become one sentence and code 1', async () => {
    const error = new CliError('open maps at /x: nothing is pinned there (ENOENT). is the agent running?');
    const { code, out, err } = await run(['services'], { openLive: refuse(error) });
    expect(err).toBe('shunt: open maps at /x: nothing is pinned there (ENOENT). is the agent running?\n');
    expect(out).toBe('');
    expect(code).toBe(1);
  });

  it('show the hint of a BPF error', async () => {
    const error = Object.assign(new Error('open map ct_any: not permitted (EPERM)'), {
      code: 'EPERM',
      hint: 'run it as root',
    });
    const { err } = await run(['flows'], { openLive: refuse(error) });
    expect(err).toBe('shunt: open map ct_any: not permitted (EPERM). run it as root\n');
  });

  it('show stack, causes and verifier log with --verbose, before or after the command', async () => {
    const error = Object.assign(new Error('load x', { cause: new Error('deeper') }), { log: 'R1 invalid' });
    for (const args of [
      ['--verbose', 'status'],
      ['status', '--verbose'],
    ]) {
      const { code, err } = await run(args, { openLive: refuse(error) });
      expect(err).toMatch(
        /^shunt: Error: load x\n {4}at [\s\S]*R1 invalid\ncaused by: Error: deeper\n {4}at /,
      );
      expect(code).toBe(1);
    }
  });

  it('a mistake of ours is called one', async () => {
    const { code, err } = await run(['status'], { openLive: refuse(new TypeError('x is undefined')) });
    expect(err).toBe(
      'shunt: internal error: x is undefined. run it with --verbose and report what it prints\n',
    );
    expect(code).toBe(1);
  });
});

describe('shunt agent', () => {
  async function optionsOf(...args: string[]) {
    let given: AgentOptions | undefined;
    const result = await run(['agent', ...args], {
      runAgent: async (options) => {
        given = options;
        return 0;
      },
    });
    return { ...result, options: given };
  }

  it('turns flags into options', async () => {
    const { code, options } = await optionsOf(
      ...['--manifests', 'm', '--hostname-override', 'n2', '--pin-path', '/sys/fs/bpf/x', '--cgroup', '/cg'],
      ...[
        '--replace-kube-proxy',
        '--xdp=force',
        '--snat-port-range',
        '20000-20999',
        '--cluster-cidr',
        '10.0.0.0/8, fd00::/8',
      ],
      ...['--pod-devices', 'cali*', '--takeover-window', '2.5'],
    );
    expect(code).toBe(0);
    expect(options).toMatchObject({
      source: { kind: 'manifests', directory: 'm' },
      nodeName: 'n2',
      pinPath: '/sys/fs/bpf/x',
      cgroupPath: '/cg',
      replaceKubeProxy: true,
      xdp: 'force',
      snatPortRange: { min: 20000, max: 20999 },
      clusterCIDRs: ['10.0.0.0/8', 'fd00::/8'],
      devices: { pod: ['cali*'], uplink: [], overlay: [], ignore: [] },
      takeoverWindowS: 2.5,
    });
  });

  it.each([
    [[], { externalIpCIDRs: undefined, sourceRangesOnNodePorts: false }],
    [['--external-ip-cidrs='], { externalIpCIDRs: [] }],
    [
      ['--external-ip-cidrs', '198.51.100.0/24,2001:db8::/32'],
      { externalIpCIDRs: ['198.51.100.0/24', '2001:db8::/32'] },
    ],
    [['--source-ranges-on-node-ports'], { sourceRangesOnNodePorts: true }],
    [['--source-ranges-on-node-ports=false'], { sourceRangesOnNodePorts: false }],
  ])('%j says who may be reached from where', async (args, wanted) => {
    const { options } = await optionsOf('--manifests', 'm', ...args);
    expect(options).toMatchObject(wanted);
  });

  it('takes the host name in lower case, a kubeconfig, and defaults', async () => {
    const { options } = await optionsOf('--kubeconfig', '/k', '--context', 'c');
    expect(options).toMatchObject({
      source: { kind: 'kubeconfig', path: '/k', context: 'c' },
      nodeName: 'node1',
      pinPath: '/sys/fs/bpf/shunt',
      replaceKubeProxy: false,
      xdp: 'auto',
    });
  });

  it('is in the cluster when the kubelet says so', async () => {
    let source: unknown;
    const result = await run(['agent'], {
      env: { KUBERNETES_SERVICE_HOST: '10.96.0.1' },
      runAgent: async (options) => {
        source = options.source;
        return 0;
      },
    });
    expect(result.code).toBe(0);
    expect(source).toEqual({ kind: 'in-cluster' });
  });

  it('passes the exit code of the agent on', async () => {
    const { code } = await run(['agent', '--manifests', 'm'], { runAgent: async () => 1 });
    expect(code).toBe(1);
  });

  it.each([
    [[], 'choose source: not in a pod, and neither --kubeconfig nor --manifests is given. pass one of them'],
    [
      ['--manifests', 'm', '--kubeconfig', 'k'],
      'choose source: both --kubeconfig and --manifests are given. leave one out',
    ],
    [
      ['--manifests', 'm', '--context', 'c'],
      'use --context: it needs --kubeconfig. name the file that has the context',
    ],
    [
      ['--manifests', 'm', '--snat-port-range', 'many'],
      "use --snat-port-range 'many': not a port range. write it like 10000-29999",
    ],
    [['--manifests', 'm', '--takeover-window', 'soon'], "use --takeover-window 'soon': not a number"],
    [
      ['--manifests', 'm', '--hostname-override', 'not a node'],
      "use node name 'not a node': not a valid node name. pass --hostname-override with the name that 'kubectl get nodes' shows",
    ],
    [
      ['--manifests', 'm', '--cluster-cidr', '10.0.0.0'],
      "use --cluster-cidr '10.0.0.0': is no address range. write it like 10.0.0.0/8 or fd00::/8",
    ],
    [
      ['--manifests', 'm', '--external-ip-cidrs', '198.51.100.7'],
      "use --external-ip-cidrs '198.51.100.7': not an address range. write it like 10.0.0.0/8 or fd00::/8",
    ],
    [
      ['--manifests', 'm', '--source-ranges-on-node-ports=maybe'],
      "use --source-ranges-on-node-ports 'maybe': neither true nor false",
    ],
  ])('%j is refused', async (args, sentence) => {
    const { code, err, options } = await optionsOf(...args);
    expect(err).toBe(`shunt: ${sentence}\n`);
    expect(options).toBeUndefined();
    expect(code).toBe(2);
  });
});

describe('shunt agent, wrongly', () => {
  it.each([
    [
      ['--manifests', '/m', '--master', 'https://10.0.0.1'],
      2,
      'choose source: both --master and --manifests are given. leave one out',
    ],
    [
      ['--write-config-to', '/nonexistent/x'],
      1,
      'write configuration to /nonexistent/x: no such directory (ENOENT). correct --write-config-to',
    ],
  ])('%s', async (args, code, sentence) => {
    expect(await run(['agent', ...args])).toEqual({ code, out: '', err: `shunt: ${sentence}\n` });
  });
});

describe('shunt cleanup', () => {
  it('says what it removed', async () => {
    const result = await run(['cleanup', '--pin-path', '/p'], {
      cleanUp: ({ pinPath }) => ({ removed: [`pin ${pinPath}/a`, 'link b'], problems: [] }),
    });
    expect(result).toEqual({ code: 0, out: 'removed pin /p/a\nremoved link b\n', err: '' });
  });

  it('says that there was nothing', async () => {
    const result = await run(['cleanup'], { cleanUp: () => ({ removed: [], problems: [] }) });
    expect(result).toEqual({ code: 0, out: 'nothing to remove at /sys/fs/bpf/shunt\n', err: '' });
  });

  it('fails when something stays', async () => {
    const result = await run(['cleanup'], {
      cleanUp: () => ({ removed: ['a'], problems: ['remove b: device is busy (EBUSY)'] }),
    });
    expect(result).toEqual({ code: 1, out: 'removed a\n', err: 'shunt: remove b: device is busy (EBUSY)\n' });
  });
});
