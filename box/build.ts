/** Makes the planned network: few processes, everything parallel that can be. */
import {
  renderForwardingDatabase,
  renderNetfilter,
  renderNode,
  renderOffloads,
  renderOutside,
  renderPod,
  renderPodLink,
  renderPodRoutes,
  renderSwitch,
  renderSysctls,
} from './network.js';
import type { BoxPlan, NodePlan, PodPlan } from './options.js';
import { toolPath } from './paths.js';
import { ipBatch, run, runInNamespace } from './shell.js';

function nodeOf(plan: BoxPlan, pod: PodPlan): NodePlan {
  return plan.nodes.find((node) => node.name === pod.node) as NodePlan;
}

async function addNamespaces(names: string[]): Promise<void> {
  await run('ip', ['-batch', '-'], names.map((name) => `netns add ${name}\n`).join(''));
}

export async function buildNetwork(plan: BoxPlan): Promise<void> {
  const podsOf = (node: NodePlan) => plan.pods.filter((pod) => pod.node === node.name);
  const { switchNamespace, outside } = plan;
  await addNamespaces([
    switchNamespace,
    outside.namespace,
    ...[...plan.nodes, ...plan.pods].map((p) => p.namespace),
  ]);
  // Before the first interface: each one inherits conf.default when it is made.
  await Promise.all([
    runInNamespace(switchNamespace, renderSysctls(plan, 'switch')),
    runInNamespace(outside.namespace, renderSysctls(plan, 'outside')),
    ...plan.nodes.map((node) => runInNamespace(node.namespace, renderSysctls(plan, 'node'))),
    ...plan.pods.map((pod) => runInNamespace(pod.namespace, renderSysctls(plan, 'pod'))),
  ]);
  await ipBatch(switchNamespace, renderSwitch(plan));
  await Promise.all([
    ipBatch(outside.namespace, renderOutside(plan)),
    ...plan.nodes.map(async (node) => {
      const pods = podsOf(node);
      await ipBatch(node.namespace, [
        ...renderNode(plan, node),
        ...pods.flatMap((pod) => renderPodLink(plan, pod)),
      ]);
      // The pods' ends first: an IPv6 address on a link without carrier is not usable at once.
      await Promise.all(pods.map((pod) => ipBatch(pod.namespace, renderPod(plan, node, pod))));
      await ipBatch(
        node.namespace,
        pods.flatMap((pod) => renderPodRoutes(plan, node, pod)),
      );
      const fdb = renderForwardingDatabase(plan, node);
      if (fdb.length > 0) await run('bridge', ['-n', node.namespace, '-batch', '-'], `${fdb.join('\n')}\n`);
      await applyNetfilter(node);
    }),
  ]);
  await Promise.all([
    applyOffloads(plan, switchNamespace, [...plan.nodes.map((node) => `p-${node.name}`), 'p-outside']),
    applyOffloads(plan, outside.namespace, ['eth0']),
    ...plan.nodes.map((node) =>
      applyOffloads(plan, node.namespace, ['eth0', ...podsOf(node).map((pod) => pod.hostInterface)]),
    ),
    ...plan.pods.map((pod) => applyOffloads(plan, pod.namespace, ['eth0'])),
  ]);
  if (plan.xdp) {
    const ports = plan.nodes.map((node) => `p-${node.name}`);
    await run('nsenter', [`--net=/run/netns/${switchNamespace}`, '--', toolPath('xdppass'), ...ports]);
  }
}

/** One more pod in a running box. */
export async function buildPod(plan: BoxPlan, pod: PodPlan): Promise<void> {
  const node = nodeOf(plan, pod);
  await addNamespaces([pod.namespace]);
  await runInNamespace(pod.namespace, renderSysctls(plan, 'pod'));
  await ipBatch(node.namespace, renderPodLink(plan, pod));
  await ipBatch(pod.namespace, renderPod(plan, node, pod));
  await ipBatch(node.namespace, renderPodRoutes(plan, node, pod));
  await applyOffloads(plan, node.namespace, [pod.hostInterface]);
  await applyOffloads(plan, pod.namespace, ['eth0']);
}

async function applyOffloads(plan: BoxPlan, namespace: string, interfaces: string[]): Promise<void> {
  const lines = renderOffloads(plan, interfaces);
  if (lines.length > 0) await runInNamespace(namespace, lines.join('\n'));
}

async function applyNetfilter(node: NodePlan): Promise<void> {
  const { nft, iptables, ip6tables } = renderNetfilter(node);
  const enter = `--net=/run/netns/${node.namespace}`;
  if (nft !== undefined) await run('nsenter', [enter, '--', 'nft', '-f', '-'], nft);
  if (iptables !== undefined) await run('nsenter', [enter, '--', 'iptables-restore'], iptables);
  if (ip6tables !== undefined) await run('nsenter', [enter, '--', 'ip6tables-restore'], ip6tables);
}
