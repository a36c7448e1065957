import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BoxMode } from '../../box/index.js';
import type { AgentStatus } from '../../src/agent/agent.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';

/** What the agent of node1 makes of its devices, by how the box connects pods. */
const WANT: Record<BoxMode, string[]> = {
  routed: ['eth0 uplink', 'lo loopback', 'vetha1 pod'],
  bridge: ['cni0 bridge', 'eth0 uplink', 'lo loopback', 'vetha1 pod'],
  vxlan: ['eth0 uplink', 'flannel.1 overlay', 'lo loopback', 'vetha1 pod'],
  tunnel: ['eth0 uplink', 'lo loopback', 'tun0 layer3', 'vetha1 pod'],
  flannel: ['cni0 bridge', 'eth0 uplink', 'flannel.1 overlay', 'lo loopback', 'vetha1 pod'],
};

describe('devices of a node', () => {
  for (const [mode, want] of Object.entries(WANT) as [BoxMode, string[]][]) {
    it(`are told apart in ${mode} mode, before and after the Node is known`, async () => {
      const pods = [
        { name: 'a1', node: 'node1' },
        { name: 'b1', node: 'node2' },
      ];
      await using cluster = await Cluster.start({ box: { mode, pods }, servers: false, agentless: true });
      const statusFile = join(cluster.box.directory, 'status.json');
      const flags = ['--manifests', cluster.manifests, '--status-file', statusFile];
      const classes = () =>
        (JSON.parse(readFileSync(statusFile, 'utf8')) as AgentStatus).devices
          .map((device) => `${device.name} ${device.class}`)
          .sort();
      cluster.apply('00-nodes', []);
      await cluster.startAgent('node1', flags);
      await eventually('the status file', () => classes().length > 0);
      expect(classes()).toEqual(want);
      cluster.apply('00-nodes', Cluster.nodeObjects(cluster.box));
      await eventually(
        'the Node',
        () => (JSON.parse(readFileSync(statusFile, 'utf8')) as AgentStatus).nodeKnown,
      );
      expect(classes()).toEqual(want);
    });
  }
});
