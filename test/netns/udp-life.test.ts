import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import {
  type EndpointSpec,
  type KubeObject,
  serviceObject,
  sliceObject,
} from '../support/cluster/objects.js';
import { addressOf, FAMILIES, type Family } from '../support/cluster/standard.js';
import { Puppet } from '../support/netns/puppet.js';

/** Silence that is meant to be silence. */
const SILENCE_MS = 250;

interface Life {
  number: number;
  nodePort: number;
}

describe.each([{ xdp: 'off' }, { xdp: 'force' }] as const)(
  'a UDP client that never changes its socket, --xdp=$xdp (SEMANTICS 6)',
  ({ xdp }) => {
    let cluster: Cluster;
    const puppets = new Map<string, Puppet>();
    let lives = 0;

    beforeAll(async () => {
      cluster = await Cluster.start({ box: { xdp: xdp === 'force' }, agentArgs: [`--xdp=${xdp}`] });
      for (const name of ['a1', 'node1', 'outside']) puppets.set(name, await Puppet.start(cluster.box, name));
    });
    afterAll(() => cluster?.close());

    type State = Pick<EndpointSpec, 'ready' | 'serving' | 'terminating'>;
    const TERMINATING: State = { ready: false, serving: true, terminating: true };

    /** The Service with these pods behind it; a pod's state is ready unless said. */
    function objects(life: Life, pods: Record<string, State>, name = `life${life.number}`): KubeObject[] {
      const slice = (family: Family) =>
        sliceObject(
          name,
          Object.entries(pods).map(([pod, state]) => {
            const place = cluster.box.pod(pod);
            return { ip: addressOf(place, family), node: place.node, ...state };
          }),
          [{ protocol: 'UDP', port: 9000 }],
          { family },
        );
      return [
        serviceObject({
          name,
          type: 'NodePort',
          clusterIPs: [`10.96.2.${life.number}`, `fd00:96::2:${life.number}`],
          ports: [{ protocol: 'UDP', port: 53, targetPort: 9000, nodePort: life.nodePort }],
        }),
        slice(4),
        slice(6),
      ];
    }

    const clients = [
      { from: 'a1', what: 'cluster IP' },
      { from: 'node1', what: 'cluster IP' },
      { from: 'outside', what: 'NodePort' },
      // A connected socket: no hook runs when it sends.
      { from: 'node1', what: 'cluster IP, connected' },
    ] as const;

    // XDP sees what outside clients send, and nothing else.
    for (const { from, what } of clients.filter((c) => xdp === 'off' || c.from === 'outside'))
      for (const family of FAMILIES)
        describe(`${from} -> ${what}, IPv${family}`, () => {
          /** A client with a fixed port, and what it is told by `ask`. */
          async function begin() {
            const number = ++lives;
            const life = { number, nodePort: 31000 + number };
            const to =
              what === 'NodePort'
                ? endpoint(addressOf(cluster.box.node('node1'), family), life.nodePort)
                : endpoint(family === 4 ? `10.96.2.${number}` : `fd00:96::2:${number}`, 53);
            const puppet = puppets.get(from) as Puppet;
            const id = `s${number}`;
            expect(await puppet.udp(id, family, { port: 41000 + number })).toEqual({});
            const isConnected = what.endsWith('connected');
            if (isConnected) await puppet.peer(id, to);
            const ask = async (ms = SILENCE_MS) => {
              const { answer, error, from } = await puppet.ask(id, isConnected ? '-' : to, { ms });
              if (answer) expect(from).toBe(to);
              return answer?.server ?? error;
            };
            const apply = (pods: Record<string, State>, name?: string) =>
              cluster.apply(`life${number}`, objects(life, pods, name));
            const servedBy = (server: string) =>
              eventually(`${server} to answer`, async () => (await ask()) === server);
            /** A client that comes now gets this: the change has arrived. */
            const newClients = (what: string) =>
              eventually(`new flows to get ${what}`, async () => {
                const outside = puppets.get('outside') as Puppet;
                await outside.udp('probe', 4);
                await outside.peer('probe', endpoint(cluster.box.node('node1').ipv4, life.nodePort));
                const { answer, error } = await outside.ask('probe', '-', { ms: SILENCE_MS });
                await outside.closeSocket('probe');
                return (answer?.server ?? error) === what;
              });
            const end = async () => {
              cluster.apply(`life${number}`, []);
              await puppet.closeSocket(id);
            };
            return { ask, apply, servedBy, newClients, end };
          }

          it('moves when its endpoint is removed, and stays on one that terminates but serves', async () => {
            const { ask, apply, servedBy, newClients, end } = await begin();
            apply({ a2: {} });
            await servedBy('a2');
            apply({ a2: TERMINATING, b1: {} });
            await newClients('b1');
            for (let i = 0; i < 5; i++) expect(await ask()).toBe('a2');
            apply({ b1: {} });
            await servedBy('b1');
            for (let i = 0; i < 5; i++) expect(await ask()).toBe('b1');
            await end();
          });

          it('goes on after a scale to zero, when nobody else serves, and moves with the next endpoint', async () => {
            const { ask, apply, servedBy, newClients, end } = await begin();
            apply({ b1: {} });
            await servedBy('b1');
            apply({});
            await newClients('ECONNREFUSED');
            // The pod still answers: with no serving endpoint at all nothing is cleaned.
            for (let i = 0; i < 3; i++) expect(await ask()).toBe('b1');
            apply({ a2: {} });
            await servedBy('a2');
            await end();
          });

          it('that began before the Service existed heals when it comes, and when it comes again', async () => {
            const { ask, apply, servedBy, end } = await begin();
            for (let i = 0; i < 3; i++) expect(await ask(100)).not.toMatch(/^[ab]\d$/);
            apply({ a2: {} });
            await servedBy('a2');
            await end();
          });

          it('follows its address from a deleted Service to another one', async () => {
            const { apply, servedBy, end } = await begin();
            apply({ a2: {} });
            await servedBy('a2');
            apply({ b2: {} }, `heir${lives}`);
            await servedBy('b2');
            await end();
          });
        });
  },
);
