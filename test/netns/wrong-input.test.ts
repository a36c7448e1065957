import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectSteadily, endpoint, repositoryRoot, tcpClient } from '../../box/index.js';
import { BpfLink } from '../../src/native/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { type KubeObject, serviceObject, sliceObject } from '../support/cluster/objects.js';
import { type StandardService, standardService } from '../support/cluster/standard.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };
const SHUNT = join(repositoryRoot(), 'bin/shunt');

describe('wrong input to a running agent', () => {
  let cluster: Cluster;
  let good: StandardService;
  let steady: Awaited<ReturnType<typeof connectSteadily>>[];
  const node = () => cluster.box.node('node1');
  const agent = () => cluster.agent('node1');
  const pin = (...names: string[]) => join(node().pinPath, 'v1', ...names);
  const links = () => readdirSync(pin('links')).sort();
  /** As `rm -r` does it; the directory is not empty at its end when the agent was quicker. */
  const removeLinks = () => {
    try {
      rmSync(pin('links'), { recursive: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
    }
  };
  const write = (name: string, text: string) => writeFileSync(join(cluster.manifests, name), text);
  /** Exit code and what was printed. */
  const shunt = async (...args: string[]) => {
    const { code, stdout, stderr } = await cluster.box.spawn('node1', [SHUNT, ...args]).exited;
    return { code, text: stdout + stderr };
  };

  beforeAll(async () => {
    cluster = await Cluster.start({ box: { nodes: 1 } });
    good = standardService(cluster.box, { name: 'good', number: 1, pods: ['a2'], nodePorts: NODE_PORT });
    cluster.apply('20-good', good.objects);
    await cluster.reachable('a1', good.tcp[6]);
    const nodePort = endpoint(node().ipv4, NODE_PORT.tcp);
    await cluster.reachable('outside', nodePort);
    steady = await Promise.all([
      connectSteadily(cluster.box.pod('a1'), good.tcp[4], { seconds: 60 }),
      connectSteadily(cluster.box.outside, nodePort, { seconds: 60 }),
    ]);
  });
  afterAll(() => cluster?.close());

  const files: [what: string, file: string, text: string, line: RegExp][] = [
    ['broken YAML', 'a.yaml', 'kind: [Service\n', /"file a\.yaml","field":"line 2".*; correct it/],
    [
      'half an object in JSON',
      'a.json',
      '{"apiVersion": "v1",',
      /"file a\.json","field":"line 1".*correct it/,
    ],
    ['UTF-16', 'b.yaml', '\0a\0p\0i', /"file b\.yaml".*save it as UTF-8/],
    [
      'a kind that there is not',
      'c.yaml',
      'apiVersion: v1\nkind: Servce\nmetadata: {name: x}\n',
      /"Servce default\/x","field":"kind".*served here are Service.*c\.yaml line 2/,
    ],
    [
      'a list that is none',
      'd.yaml',
      'apiVersion: v1\nkind: List\nitems: {}\n',
      /"file d\.yaml","field":"line 3".*items must be a list/,
    ],
    ['a link to itself', '', '', /"file loop\.yaml".*ELOOP.*Make it readable/],
  ];
  it.each(files)('%s: says where, and what to do', async (_, file, text, line) => {
    if (file === '') symlinkSync('loop.yaml', join(cluster.manifests, 'loop.yaml'));
    else write(file, text);
    await agent().waitForLog(line, 5000);
  });

  const port = [{ port: 80 }];
  const objects: [what: string, object: KubeObject, line: RegExp][] = [
    [
      'a port out of range',
      serviceObject({ name: 'p', clusterIPs: ['10.96.7.1'], ports: [{ port: 70_000 }] }),
      /"Service default\/p","field":"spec\.ports\[0\]\.port".*from 1 to 65535/,
    ],
    [
      'the cluster IP of another Service',
      serviceObject({ name: 'v', clusterIPs: ['10.96.1.1'], ports: port }),
      /"Service default\/v","field":"spec\.clusterIPs".*belongs to Service default\/good/,
    ],
    [
      'the NodePort of another Service',
      serviceObject({
        name: 'n',
        type: 'NodePort',
        clusterIPs: ['10.96.7.2'],
        ports: [{ port: 80, nodePort: 30080 }],
      }),
      /"Service default\/n","field":"spec\.ports\[0\]\.nodePort".*belongs to Service default\/good/,
    ],
    [
      "the node's own address as cluster IP",
      serviceObject({ name: 'own', clusterIPs: ['172.30.0.11'], ports: port }),
      /"Service default\/own","field":"spec\.clusterIPs".*belongs to Node node1/,
    ],
    [
      'a cluster IP on loopback',
      serviceObject({ name: 'lo', clusterIPs: ['127.0.0.1'], ports: port }),
      /"Service default\/lo","field":"spec\.clusterIPs\[0\]".*loopback/,
    ],
    [
      'a name with a slash',
      serviceObject({ name: 'a/b', clusterIPs: ['10.96.7.3'], ports: port }),
      /"metadata\.name".*"a\/b\\".*lower case/,
    ],
    [
      'backends that no Service may have',
      sliceObject(
        'good',
        ['127.0.0.1', '169.254.1.1', '224.0.0.1', '10.96.1.1', '0.0.0.0'].map((ip) => ({ ip })),
        [{ name: 'http', port: 8080 }],
        { name: 'good-forbidden' },
      ),
      /"EndpointSlice default\/good-forbidden","field":"endpoints\[4\]\.addresses\[0\]".*refused as a backend/,
    ],
    [
      'a slice of a Service that there is not',
      sliceObject('none', [{ ip: '10.244.1.11' }], [{ port: 8080 }]),
      /"EndpointSlice default\/none-v4".*there is no Service default\/none/,
    ],
  ];
  it.each(objects)('%s: names object and field', async (what, object, line) => {
    cluster.apply(`50-${what.replaceAll(/\W/g, '-')}`, [object]);
    await agent().waitForLog(line, 5000);
  });

  it('a good file that is broken, and a directory that is taken away, leave what was good', async () => {
    const path = cluster.manifests;
    write('20-good.yaml', 'x: [\n');
    await agent().waitForLog(/"file 20-good\.yaml".*what the file held before stays in force/, 5000);
    renameSync(path, `${path}.away`);
    await agent().waitForLog(/read directory .*ENOENT.*what was read before stays in force/, 8000);
    expect(await tcpClient(cluster.box.pod('a1'), good.tcp[4], { count: 10 })).toMatchObject({ ok: 10 });
    renameSync(`${path}.away`, path);
    cluster.apply('20-good', good.objects);
    cluster.apply('60-new', standardService(cluster.box, { name: 'new', number: 9, pods: ['a2'] }).objects);
    await cluster.reachable('a1', '10.96.1.9:80');
  });

  it.concurrent('a second agent and a cleanup are refused, however they come to the pins', async () => {
    const { pinPath } = node();
    const spelt = join(pinPath, '..', 'shunt/').replace('/shunt/', '/./shunt/');
    const second = [
      'agent',
      '--manifests',
      cluster.manifests,
      '--hostname-override',
      'node1',
      '--pin-path',
      spelt,
    ];
    const elsewhere = cluster.box.spawn('a1', [SHUNT, 'cleanup', '--pin-path', pinPath]).exited;
    const refused = await Promise.all([
      shunt(...second, '--socket-lb=off'),
      shunt('cleanup', '--pin-path', spelt),
      elsewhere.then(({ code, stdout, stderr }) => ({ code, text: stdout + stderr })),
    ]);
    for (const { code, text } of refused) {
      expect(code).toBe(1);
      expect(text).toMatch(/another agent is updating it \(EBUSY\)\. Stop that agent/);
    }
  });

  it.concurrent('a cleanup of somebody else’s directory is refused, and removes nothing', async () => {
    const directory = join(cluster.box.directory, 'foreign');
    mkdirSync(join(directory, 'v1'), { recursive: true });
    writeFileSync(join(directory, 'v1', 'lb_slots'), 'mine');
    const { code, text } = await shunt('cleanup', '--pin-path', directory);
    expect(code).toBe(1);
    expect(text).toMatch(/not on a BPF file system/);
    expect(readdirSync(join(directory, 'v1'))).toEqual(['lb_slots']);
  });

  it.concurrent('pin paths that nothing can be pinned below are refused', async () => {
    const start = (pinPath: string) =>
      shunt(
        'agent',
        '--manifests',
        cluster.manifests,
        '--hostname-override',
        'node1',
        '--socket-lb=off',
        '--pin-path',
        pinPath,
      );
    const readOnly = join(cluster.box.directory, 'ro');
    mkdirSync(readOnly);
    await cluster.box.exec('node1', ['mount', '-t', 'bpf', '-o', 'ro', 'ro', readOnly]);
    try {
      const [dots, ro] = await Promise.all([
        start(join(node().bpffs, 'a.b')),
        start(join(readOnly, 'shunt')),
      ]);
      expect([dots.code, ro.code]).toEqual([1, 1]);
      expect(dots.text).toMatch(/make directory .*a\.b: a BPF file system takes no dots in names/);
      expect(ro.text).toMatch(
        /make directory .*ro\/shunt: the file system is read-only \(EROFS\).*--pin-path/,
      );
    } finally {
      await cluster.box.exec('node1', ['umount', readOnly]);
    }
  });

  it('maps that somebody unpins are pinned again', async () => {
    for (const name of ['ct_flows', 'lb_frontends', 'rodata']) unlinkSync(pin(name));
    await agent().waitForLog(/"map":\["ct_flows","lb_frontends","rodata"\].*are there again/, 12_000);
    expect((await cluster.shunt<unknown[]>('node1', ['services'])).length).toBeGreaterThan(0);
  });

  it('harmed no connection to the good Service meanwhile', async () => {
    for (const load of steady) {
      const report = await load.stop();
      expect(report).toMatchObject({ failed: 0, errors: {} });
      expect(report.ok).toBeGreaterThan(100);
    }
  });

  it('programs that somebody detaches are attached again', async () => {
    const before = links();
    removeLinks();
    await agent().waitForLog(/"hook":\[.*"sk_connect4".*are attached again/, 12_000);
    await agent().waitForLog(/"program":\[.*"tc_ingress@vetha1".*are attached again/, 2000);
    // The kernel may not be done with a link yet: its hook is taken until then, and follows.
    await eventually('every link to be pinned again', () => String(links()) === String(before));
    expect(await tcpClient(cluster.box.pod('a1'), good.tcp[4], { count: 10 })).toMatchObject({ ok: 10 });
    expect(await tcpClient(node(), good.tcp[4], { count: 10 })).toMatchObject({ ok: 10 });
  });

  it('programs that lose their pin while somebody else holds their links never stop', async () => {
    const before = links();
    const ids = () =>
      before
        .filter((name) => name.startsWith('tc_'))
        .map((name) => {
          using link = BpfLink.openPinned(pin('links', name));
          return link.info.id;
        });
    const [held, idsBefore] = [before.map((name) => BpfLink.openPinned(pin('links', name))), ids()];
    const load = await connectSteadily(cluster.box.pod('a1'), good.tcp[4], { seconds: 60 });
    const from = agent().log.length;
    removeLinks();
    await eventually('every link to be pinned again', () => String(links()) === String(before));
    await eventually('the agent to say so', () =>
      /"program":\[.*"tc_ingress@vetha1".*are attached again/.test(agent().log.slice(from)),
    );
    for (const link of held) link.close();
    // Longer than the kernel needs to let go of a link that nobody holds.
    await setTimeout(1000);
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0, errors: {} });
    expect(report.ok).toBeGreaterThan(100);
    expect(ids()).toEqual(idsBefore);
  });

  it('SIGHUP ends it in order, and the data path goes on', async () => {
    const { code } = await agent().kill('SIGHUP');
    expect(code).toBe(0);
    expect(agent().log).toMatch(/"signal":"SIGHUP".*the data path goes on/);
    expect(await tcpClient(cluster.box.pod('a1'), good.tcp[4], { count: 10 })).toMatchObject({ ok: 10 });
  });

  it('a map whose pin went while no agent ran is named at the next start', async () => {
    unlinkSync(pin('lb_backends'));
    const next = await cluster.startAgent('node1');
    expect(next.log).toMatch(/"map":\["lb_backends"\].*were not pinned beside the others/);
    expect(await tcpClient(cluster.box.pod('a1'), good.tcp[4], { count: 10 })).toMatchObject({ ok: 10 });
    await next.kill();
    expect(await shunt('cleanup', '--pin-path', node().pinPath)).toMatchObject({ code: 0 });
    expect(await shunt('cleanup', '--pin-path', node().pinPath)).toMatchObject({
      code: 0,
      text: `nothing to remove at ${node().pinPath}\n`,
    });
  });
});
