import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { FakeLive, NOW_NS, run } from './fake.js';
import { sampleLive } from './state.js';

async function printed(...args: string[]): Promise<string> {
  const live = sampleLive();
  const { code, out, err } = await run(args, { openLive: () => live });
  expect(err).toBe('');
  expect(code).toBe(0);
  expect(live.closed).toBe(true);
  return out;
}

async function json(...args: string[]): Promise<Record<string, unknown>[]> {
  return JSON.parse(await printed(...args, '-o', 'json'));
}

describe('an empty namespace', () => {
  it.each(['services', 'backends', 'flows', 'affinities'])('of %s is said to people', async (command) => {
    const at = (...more: string[]) =>
      run([command, '-n', 'no-such', ...more], { openLive: () => sampleLive() });
    expect(await at()).toMatchObject({ code: 0, err: `shunt: no ${command} in namespace no-such\n` });
    expect(await at('-o', 'json')).toEqual({ code: 0, out: '[]\n', err: '' });
  });
});

describe('shunt services', () => {
  it('prints frontends sorted by service, port, type and address', async () => {
    expect(await printed('services')).toMatchInlineSnapshot(`
      "NAMESPACE    NAME      PORT  TYPE          FRONTEND            POLICY   AFFINITY         INTERNAL  EXTERNAL  BACKENDS
      default      coffee    http  ClusterIP     10.96.0.20:80/TCP   Cluster  -                       2         2  10.244.1.2:9090 10.244.2.2:9090
      default      coffee    http  NodePort      *:30391/TCP         Local    -                       2         1  10.244.1.2:9090 10.244.2.2:9090
      default      coffee    http  NodePort      [*]:30391/TCP       Cluster  -                       1         1  [fd00:244::2]:9090
      default      sticky    -     LoadBalancer  192.0.2.127:80/TCP  Local    ClientIP 10800s         1      drop  10.244.9.3:9090 (1 not usable)
      kube-system  kube-dns  dns   ClusterIP     10.96.0.10:53/UDP   Cluster  -                  reject    reject  -
      "
    `);
  });

  it('-o wide adds the algorithm, source ranges and the counters of the service port', async () => {
    expect(await printed('services', '-n', 'default', '-o', 'wide')).toMatchInlineSnapshot(`
      "NAMESPACE  NAME    PORT  TYPE          FRONTEND            POLICY   AFFINITY         INTERNAL  EXTERNAL  BACKENDS                         ALGORITHM  SOURCES          NEW-FLOWS  REFUSED  DROPPED
      default    coffee  http  ClusterIP     10.96.0.20:80/TCP   Cluster  -                       2         2  10.244.1.2:9090 10.244.2.2:9090  random     -                        7        1        0
      default    coffee  http  NodePort      *:30391/TCP         Local    -                       2         1  10.244.1.2:9090 10.244.2.2:9090  random     -                        7        1        0
      default    coffee  http  NodePort      [*]:30391/TCP       Cluster  -                       1         1  [fd00:244::2]:9090               maglev     -                        0        0        0
      default    sticky  -     LoadBalancer  192.0.2.127:80/TCP  Local    ClientIP 10800s         1      drop  10.244.9.3:9090 (1 not usable)   random     198.51.100.0/24          0        0        4
      "
    `);
  });

  it('-o json is an array of frontends with exactly these members in this order', async () => {
    const rows = await json('services');
    const nodePort = rows.find((row) => row.type === 'NodePort');
    expect(JSON.stringify(nodePort)).toBe(
      JSON.stringify({
        namespace: 'default',
        name: 'coffee',
        portName: 'http',
        type: 'NodePort',
        ip: '*',
        port: 30391,
        protocol: 'TCP',
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Cluster',
        affinity: { mode: 'None', timeoutSeconds: null },
        backends: [
          {
            ip: '10.244.1.2',
            port: 9090,
            nodeName: 'node1',
            zone: 'a',
            ready: true,
            serving: true,
            terminating: false,
            local: true,
            usedFor: ['internal', 'external'],
          },
          {
            ip: '10.244.2.2',
            port: 9090,
            nodeName: 'node2',
            zone: null,
            ready: true,
            serving: true,
            terminating: false,
            local: false,
            usedFor: ['internal'],
          },
        ],
      }),
    );
  });

  it('tells affinity with its timeout, and a backend that is known but not usable', async () => {
    const [sticky] = (await json('services', '-n', 'default')).filter((row) => row.name === 'sticky');
    expect(sticky).toMatchObject({
      type: 'LoadBalancer',
      affinity: { mode: 'ClientIP', timeoutSeconds: 10800 },
      backends: [
        { ip: '10.244.9.3', usedFor: ['internal'] },
        { ip: '10.244.10.3', ready: false, serving: true, terminating: true, usedFor: [] },
      ],
    });
  });

  it('-n leaves the other namespaces out', async () => {
    expect((await json('services', '-n', 'kube-system')).map((row) => row.name)).toEqual(['kube-dns']);
    expect(await json('services', '-n', 'nowhere')).toEqual([]);
  });

  it('-o yaml says the same as -o json', async () => {
    expect(parse(await printed('services', '-o', 'yaml'))).toEqual(await json('services'));
  });
});

describe('shunt backends', () => {
  it('prints conditions, place and use', async () => {
    expect(await printed('backends', '-o', 'wide')).toMatchInlineSnapshot(`
      "NAMESPACE  NAME    PORT  BACKEND                 NODE          ZONE  CONDITIONS                       USED-FOR           NEW-FLOWS  ID
      default    coffee  http  10.244.1.2:9090/TCP     node1 (this)  a     ready                            internal,external          6   1
      default    coffee  http  10.244.2.2:9090/TCP     node2         -     ready                            internal,external          0   2
      default    coffee  http  [fd00:244::2]:9090/TCP  node1         a     ready                            internal,external          0   5
      default    sticky  -     10.244.9.3:9090/TCP     node1         a     ready                            internal                   0   4
      default    sticky  -     10.244.10.3:9090/TCP    node2         -     not ready, serving, terminating  -                          0   3
      "
    `);
  });
});

describe('shunt flows', () => {
  it('prints each flow once, from the client to the backend', async () => {
    expect(await printed('flows')).toMatchInlineSnapshot(`
      "PROTO  CLIENT              FRONTEND          BACKEND           SNAT              SERVICE         STATE        WAY      AGE  IDLE
      TCP    10.244.1.5:33333    10.96.0.20:80     10.244.1.2:9090   -                 default/coffee  half-open    stack   0.0s  2.5s
      TCP    198.51.100.7:40000  172.18.0.2:30391  10.244.2.2:9090   10.244.1.1:10007  default/coffee  established  xdp    1m30s  0.5s
      UDP    [fd00:244::9]:5353  [fd00:96::a]:53   [fd00:244::2]:53  -                 #77             unreplied    stack  1m30s  2.5s
      "
    `);
  });

  it('-o json tells what the backend sees, and the counters of both directions', async () => {
    const [flow] = (await json('flows', '-n', 'default')).filter((row) => row.way === 'xdp');
    expect(flow).toEqual({
      namespace: 'default',
      name: 'coffee',
      portName: 'http',
      protocol: 'TCP',
      client: { ip: '198.51.100.7', port: 40000 },
      frontend: { ip: '172.18.0.2', port: 30391 },
      backend: { ip: '10.244.2.2', port: 9090 },
      snat: { ip: '10.244.1.1', port: 10007 },
      state: 'established',
      way: 'xdp',
      ageSeconds: 90,
      idleSeconds: 0.5,
      packets: 10,
      bytes: 1000,
      replyPackets: 7,
      replyBytes: 70000,
    });
  });
});

describe('shunt affinities', () => {
  it('prints who is remembered where, and for how long', async () => {
    expect(await printed('affinities')).toMatchInlineSnapshot(`
      "NAMESPACE  NAME    PORT  CLIENT      BACKEND           IDLE  EXPIRES-IN
      default    sticky  -     node        gone             5h33m     expired
      default    sticky  -     10.244.2.9  10.244.9.3:9090  1m00s       2h59m
      "
    `);
  });
});

describe('shunt maps', () => {
  it('prints how full each map is', async () => {
    expect(await printed('maps')).toMatchInlineSnapshot(`
      "NAME         TYPE     ENTRIES      MAX     MEMORY
      ct_flows     hash       52429   524288    4.0 MiB
      events       ringbuf        -   262144  268.2 KiB
      lb_config    array          1        1    4.0 KiB
      lb_slots     array          3  2097152          -
      stats_paths  array          -      192          -
      "
    `);
  });

  it('NAME prints its entries decoded and sorted by key', async () => {
    expect(await printed('maps', 'meta_localities')).toMatchInlineSnapshot(`
      "KEY  VALUE
      2    node_name=node2 zone=a
      10   node_name=node10 zone=-
      "
    `);
    expect(await json('maps', 'lb_affinity')).toEqual([
      {
        key: { client: '10.244.2.9', service_id: 2 },
        value: { last_used_ns: 99_940_000_000_000, backend_id: 4, backend_generation: 7 },
      },
      {
        key: { client: '::', service_id: 2 },
        value: { last_used_ns: '1152921504606846976', backend_id: 4, backend_generation: 6 },
      },
    ]);
  });

  it('an unknown name is refused with those that exist, and is a wrong command line', async () => {
    const { code, out, err } = await run(['maps', 'lb_nothing'], { openLive: sampleLive });
    expect(out).toBe('');
    expect(err).toMatch(
      /^shunt: print map lb_nothing: no such map\. it is one of ct_any, ct_flows, .*xdp_devices\n$/,
    );
    expect(code).toBe(2);
  });

  it('the ring buffer has no entries to print', async () => {
    const { code, err } = await run(['maps', 'events'], { openLive: sampleLive });
    expect(err).toMatch(/^shunt: print map events: it has no entries to print\. it is one of /);
    expect(code).toBe(2);
  });
});

describe('shunt status', () => {
  it('prints agent, hooks, paths, drops and tables', async () => {
    expect(await printed('status')).toMatchInlineSnapshot(`
      "layout  v1 at /sys/fs/bpf/shunt
      agent   alive, seen 0.4s ago

      DEVICE  LINK    HOOKS
      -       cgroup  sk_connect4
      eth0    tcx     tc_ingress
      eth0    xdp     xdp
      veth7   tcx     tc_ingress(detached)

      PATH        PACKETS  BYTES
      local             1     60
      remote_xdp        7    700

      DROP              PACKETS
      no_local_backend        2

      TABLE     ENTRIES      MAX    FULL
      ct_flows    52429   524288  10.0 %
      lb_slots        3  2097152   0.0 %
      "
    `);
  });

  it('-o json holds every counter by name, zero included', async () => {
    const status = JSON.parse(await printed('status', '-o', 'json'));
    expect(status).toMatchObject({
      pinPath: '/sys/fs/bpf/shunt',
      layoutVersion: 1,
      agent: { lastSeenSeconds: 0.4, alive: true },
      paths: { remote_xdp: { packets: 7, bytes: 700 }, remote_tc: { packets: 0, bytes: 0 } },
      drops: { no_local_backend: 2, stale: 0 },
      tables: [
        { name: 'ct_flows', entries: 52429, maxEntries: 524288 },
        { name: 'lb_slots', entries: 3, maxEntries: 2097152 },
      ],
    });
    expect(Object.keys(status.paths)).not.toContain('max');
  });

  it('a dead agent is told, with what goes on', async () => {
    const live = new FakeLive({ config: { agent_seen_ns: NOW_NS - 66_000_000_000n } });
    const { out } = await run(['status'], { openLive: () => live });
    expect(out).toContain('agent   not running: seen 1m06s ago. traffic goes on with what the maps say\n');
  });
});

describe('empty maps', () => {
  it.each(['services', 'backends', 'flows', 'affinities'])(
    '%s: the head of the table, or []',
    async (name) => {
      const table = await run([name], { openLive: () => new FakeLive() });
      expect(table.out.split('\n')).toHaveLength(2);
      const data = await run([name, '-o', 'json'], { openLive: () => new FakeLive() });
      expect(data.out).toBe('[]\n');
      expect([table.code, data.code]).toEqual([0, 0]);
    },
  );
});
