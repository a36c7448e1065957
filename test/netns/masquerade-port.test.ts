import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, holdConnections, tcpClient, udpClient } from '../../box/index.js';
import type { FlowRow } from '../../src/cli/views/rows.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, standardService } from '../support/cluster/standard.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };
const CLIENT_PORT = 41_000;
const POD_PORT = 42_000;

// nf_conntrack does not know which ports our flows past the stack have taken, so a MASQUERADE rule gives one away
// again while our flow is still remembered.
describe.each(['off', 'force'] as const)(
  'a MASQUERADE rule and a flow past the stack have one port, --xdp=%s (ARCHITECTURE 5)',
  (xdp) => {
    let cluster: Cluster;

    beforeAll(async () => {
      cluster = await Cluster.start({
        box: { xdp: xdp === 'force', netfilter: ['conntrack'] },
        agentArgs: [`--xdp=${xdp}`],
      });
      const service = standardService(cluster.box, {
        name: 'web',
        number: 1,
        pods: ['b1'],
        nodePorts: NODE_PORT,
      });
      cluster.apply('20-services', service.objects);
      await cluster.box.serve('outside');
      // XDP leaves a first packet to tc while the neighbour is not known.
      for (const family of FAMILIES) {
        const node1 = addressOf(cluster.box.node('node1'), family);
        await cluster.reachable('outside', endpoint(node1, NODE_PORT.tcp));
      }
    });
    afterAll(() => cluster?.close());

    for (const family of FAMILIES) {
      it(`answers reach whoever asked last, and the flow moves to another port, IPv${family}`, async () => {
        const { box } = cluster;
        const node1 = addressOf(box.node('node1'), family);
        const [backend, pod] = ['b1', 'a1'].map((name) => addressOf(box.pod(name), family));
        const ask = () =>
          udpClient(box.outside, endpoint(node1, NODE_PORT.udp), { sourcePort: CLIENT_PORT, count: 1 });
        const flow = async () => {
          const rows = await cluster.shunt<FlowRow[]>('node1', ['flows']);
          const ours = rows.filter((r) => r.client.port === CLIENT_PORT && r.frontend.ip === node1);
          expect(ours).toHaveLength(1);
          return ours[0] as FlowRow;
        };

        expect(await ask()).toMatchObject({ ok: 1, failed: 0 });
        const before = await flow();
        expect(before).toMatchObject({ way: xdp === 'force' ? 'xdp' : 'tc', snat: { ip: node1 } });
        const rule = ['-p', 'udp', '-s', pod ?? '', '-d', backend ?? ''];
        const taken = String(before.snat?.port);
        const iptables = family === 4 ? 'iptables' : 'ip6tables';
        await box.exec('node1', [
          ...[iptables, '-t', 'nat', '-I', 'POSTROUTING', ...rule],
          ...['-j', 'MASQUERADE', '--to-ports', taken],
        ]);

        const straight = await udpClient(box.pod('a1'), endpoint(backend ?? '', 9000), {
          sourcePort: POD_PORT,
          count: 1,
        });
        expect(straight).toMatchObject({ ok: 1, failed: 0, peers: { [node1]: 1 } });
        // A flow looks at its port again when it has been idle for a second.
        await new Promise((resolve) => setTimeout(resolve, 1100));
        expect(await ask()).toMatchObject({ ok: 1, failed: 0 });
        expect(String((await flow()).snat?.port)).not.toBe(taken);
      });

      /** A rule has a pod's connections to the backend choose among eight ports, `port` being one of them. */
      const expectTaken = async (port: number) => {
        const { box } = cluster;
        const node1 = addressOf(box.node('node1'), family);
        const [backend = '', pod = ''] = ['b1', 'a1'].map((name) => addressOf(box.pod(name), family));
        const ends = ['-p', 'tcp', '-s', pod, '-d', backend];
        await box.exec('node1', [
          ...[family === 4 ? 'iptables' : 'ip6tables', '-t', 'nat', '-I', 'POSTROUTING', ...ends],
          ...['-j', 'MASQUERADE', '--to-ports', `${port}-${port + 7}`],
        ]);
        const taken = async () => {
          const { drops } = await cluster.shunt<{ drops: Record<string, number> }>('node1', ['status']);
          return drops.tuple_taken ?? 0;
        };
        const before = await taken();
        // The kernel takes one of eight by chance; ours, which it does not know, often enough in sixty attempts.
        for (let i = 0; i < 60 && (i % 4 !== 0 || (await taken()) === before); i++) {
          const report = await tcpClient(box.pod('a1'), endpoint(backend, 8080), { timeoutMs: 20_000 });
          expect(report).toMatchObject({ ok: 1, failed: 0, peers: { [node1]: 1 } });
          await box.exec('node1', ['conntrack', '-D', '-f', `ipv${family}`, ...ends]);
        }
        expect(await taken()).toBeGreaterThan(before);
      };
      const liveFlow = async () => {
        const { box } = cluster;
        const node1 = addressOf(box.node('node1'), family);
        const to = endpoint(node1, NODE_PORT.tcp);
        const live = await holdConnections(box.outside, to, { count: 1, seconds: 60 });
        const rows = await cluster.shunt<FlowRow[]>('node1', ['flows']);
        const port = rows.find((r) => r.state === 'established' && r.frontend.ip === node1)?.snat?.port ?? 0;
        expect(port).toBeGreaterThan(0);
        return { live, port };
      };

      it(`a masqueraded connection that got a live flow's port gets another one, IPv${family}`, async () => {
        const { live, port } = await liveFlow();
        await expectTaken(port);
        expect(await live.stop()).toMatchObject({ failed: 0, errors: {} });
      });

      it(`a masqueraded connection that got an ended flow's port hears its backend, IPv${family}`, async () => {
        const { box } = cluster;
        const node1 = addressOf(box.node('node1'), family);
        const [backend = '', pod = ''] = ['b1', 'a1'].map((name) => addressOf(box.pod(name), family));
        const iptables = family === 4 ? 'iptables' : 'ip6tables';
        const sourcePort = CLIENT_PORT + family;
        // The backend never hears the end and has the port still, as it may after its own FIN: a SYN from there is
        // answered with the number that it expects. The first client would reset it, if it heard that.
        const deaf = ['INPUT', '-p', 'tcp', '--tcp-flags', 'RST', 'RST', '-j', 'DROP'];
        await box.exec('b1', [iptables, '-I', ...deaf]);
        const ended = await tcpClient(box.outside, endpoint(node1, NODE_PORT.tcp), {
          ...{ sourcePort, noRequest: true, rst: true },
        });
        expect(ended).toMatchObject({ ok: 1 });
        await box.exec('outside', [
          ...[iptables, '-I', 'INPUT', '-p', 'tcp', '--dport', String(sourcePort), '-j', 'DROP'],
        ]);
        await box.exec('b1', [iptables, '-D', ...deaf]);
        const rows = await cluster.shunt<FlowRow[]>('node1', ['flows']);
        const flow = rows.find((r) => r.client.port === sourcePort && r.frontend.ip === node1);
        expect(flow).toMatchObject({ state: 'reset', snat: { ip: node1 } });

        await box.exec('node1', [
          ...[iptables, '-t', 'nat', '-I', 'POSTROUTING', '-p', 'tcp', '-s', pod, '-d', backend],
          ...['-j', 'MASQUERADE', '--to-ports', String(flow?.snat?.port)],
        ]);
        const challenges = async () => {
          const { stdout } = await box.exec('b1', ['nstat', '-asz', '--json', 'TcpExtTCPChallengeACK']);
          return (JSON.parse(stdout) as { kernel: { TcpExtTCPChallengeACK: number } }).kernel
            .TcpExtTCPChallengeACK;
        };
        const before = await challenges();
        const report = await tcpClient(box.pod('a1'), endpoint(backend, 8080), { timeoutMs: 3000 });
        expect(report).toMatchObject({ ok: 1, failed: 0, peers: { [node1]: 1 } });
        expect(await challenges()).toBeGreaterThan(before);
      });

      it(`a process of the node that was given a live flow's port gets another one, IPv${family}`, async () => {
        const { box } = cluster;
        const node1 = addressOf(box.node('node1'), family);
        const { live, port } = await liveFlow();
        const backend = endpoint(addressOf(box.pod('b1'), family), 8080);
        // The client of the matrix waits for three seconds: time for one repeated SYN, not for two.
        const own = await holdConnections(box.node('node1'), backend, {
          ...{ count: 1, seconds: 60 },
          ...{ sourcePort: port, timeoutMs: 3000 },
        });
        const rows = await cluster.shunt<FlowRow[]>('node1', ['flows']);
        const moved = rows.find((r) => r.client.ip === node1 && r.client.port === port);
        expect(moved).toMatchObject({ state: 'established', snat: { ip: node1 } });
        expect(moved?.snat?.port).not.toBe(port);
        // Nobody else gets that port either.
        await expectTaken(moved?.snat?.port ?? 0);
        expect(await own.stop()).toMatchObject({
          failed: 0,
          errors: {},
          peers: { [node1]: expect.any(Number) },
        });
        expect(await live.stop()).toMatchObject({ failed: 0, errors: {} });
      });

      it(`what a pod asks the outside is answered although the rule took a NodePort's number, IPv${family}`, async () => {
        const { box } = cluster;
        const [pod, outside] = [addressOf(box.pod('a2'), family), addressOf(box.outside, family)];
        const iptables = family === 4 ? 'iptables' : 'ip6tables';
        for (const [protocol, port] of Object.entries(NODE_PORT)) {
          const rule = [
            '-p',
            protocol,
            '-s',
            pod,
            '-d',
            outside,
            '-j',
            'MASQUERADE',
            '--to-ports',
            String(port),
          ];
          await box.exec('node1', [iptables, '-t', 'nat', '-I', 'POSTROUTING', ...rule]);
        }
        const node1 = addressOf(box.node('node1'), family);
        const tcp = await tcpClient(box.pod('a2'), endpoint(outside, 8080), { sourcePort: POD_PORT });
        expect(tcp).toMatchObject({ ok: 1, failed: 0, peers: { [node1]: 1 } });
        const udp = await udpClient(box.pod('a2'), endpoint(outside, 9000), {
          sourcePort: POD_PORT,
          count: 1,
        });
        expect(udp).toMatchObject({ ok: 1, failed: 0, peers: { [node1]: 1 } });
      });
    }
  },
);
