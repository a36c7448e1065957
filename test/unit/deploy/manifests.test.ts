import { describe, expect, it } from 'vitest';
import { KUBE_PROXY_PORTS, SIDE_BY_SIDE_PORTS } from '../../../src/agent/options.js';
import { run } from '../cli/fake.js';
import { type DaemonSet, ofKind } from './kinds.js';
import { HAS_KUBECTL, kustomize, kustomizeText, OVERLAYS, rendered } from './render.js';

const agentOf = (set: DaemonSet) => set.spec.template.spec.containers[0];
const daemonSet = (overlay: string) => ofKind(kustomize(overlay), 'DaemonSet');

describe.each(OVERLAYS)('overlay %s', (overlay) => {
  const objects = kustomize(overlay);
  const set = ofKind(objects, 'DaemonSet');
  const pod = set.spec.template.spec;
  const agent = agentOf(set);

  // Not a skip: without kubectl there is nothing to compare, and everything below reads the file.
  if (HAS_KUBECTL) {
    it('is what deploy/rendered has', () => {
      const [head, ...lines] = rendered(overlay).split('\n');
      expect(head).toMatch(/^# Rendered from /);
      expect(lines.join('\n')).toBe(kustomizeText(overlay));
    });
  }

  it('renders these four objects, schema-checked, and no secret', () => {
    expect(objects.map((object) => `${object.kind} ${object.metadata.name}`).sort()).toEqual([
      'ClusterRole shunt',
      'ClusterRoleBinding shunt',
      'DaemonSet shunt',
      'ServiceAccount shunt',
    ]);
  });

  it('lives in kube-system, bound to its own service account', () => {
    expect(set.metadata.namespace).toBe('kube-system');
    expect(ofKind(objects, 'ServiceAccount').metadata).toMatchObject({
      name: pod.serviceAccountName,
      namespace: 'kube-system',
    });
    expect(ofKind(objects, 'ClusterRoleBinding').subjects).toEqual([
      { kind: 'ServiceAccount', name: pod.serviceAccountName, namespace: 'kube-system' },
    ]);
    expect(set.spec.selector.matchLabels).toEqual(set.spec.template.metadata.labels);
  });

  it('may read what it serves from, write events, and nothing else', () => {
    const read = ['get', 'list', 'watch'];
    expect(ofKind(objects, 'ClusterRole').rules).toEqual([
      { apiGroups: [''], resources: ['services', 'nodes'], verbs: read },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
      { apiGroups: ['networking.k8s.io'], resources: ['servicecidrs'], verbs: read },
      { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
    ]);
  });

  it('passes only flags that the agent knows', async () => {
    const help = await run(['agent', '--help']);
    const known = new Set(help.out.match(/--[a-z][a-z0-9-]*/g));
    expect(agent.args[0]).toBe('agent');
    const flags = agent.args.slice(1).map((arg) => arg.split('=')[0]);
    expect(flags.filter((flag) => !known.has(flag ?? ''))).toEqual([]);
  });

  it('runs on every node before anything else, one node at a time', () => {
    expect(pod).toMatchObject({
      hostNetwork: true,
      dnsPolicy: 'Default',
      priorityClassName: 'system-node-critical',
      tolerations: [{ operator: 'Exists' }],
    });
    expect(set.spec.updateStrategy.rollingUpdate).toEqual({ maxUnavailable: 1, maxSurge: 0 });
  });

  it("asks livez on the port that the agent's mode has", () => {
    const replaces = agent.args.includes('--replace-kube-proxy');
    const port = (replaces ? KUBE_PROXY_PORTS : SIDE_BY_SIDE_PORTS).healthz;
    for (const probe of [agent.startupProbe, agent.livenessProbe, agent.readinessProbe]) {
      expect(probe.httpGet).toEqual({ path: '/livez', port });
    }
  });

  it("hands in the host's bpf file system and cgroup root, and names the latter", () => {
    const volumes = Object.fromEntries(pod.volumes.map((volume) => [volume.name, volume.hostPath.path]));
    const mounts = agent.volumeMounts.map(({ name, mountPath }) => `${volumes[name]} at ${mountPath}`);
    expect(mounts).toEqual(['/sys/fs/bpf at /sys/fs/bpf', '/sys/fs/cgroup at /host/cgroup']);
    expect(agent.args).toContain('--cgroup=/host/cgroup');
    expect(agent.volumeMounts[0]?.mountPropagation).toBe(
      agent.securityContext.privileged ? 'Bidirectional' : 'HostToContainer',
    );
  });
});

describe('the overlays', () => {
  it('side-by-side leaves kube-proxy its Services', () => {
    expect(agentOf(daemonSet('side-by-side')).args).not.toContain('--replace-kube-proxy');
  });

  it.each(['replace-kube-proxy', 'least-privilege'])('%s serves all Services', (name) => {
    expect(agentOf(daemonSet(`${name}`)).args).toContain('--replace-kube-proxy');
  });

  it("replace-kube-proxy does not need itself to reach the API server, for the cluster IP is nobody's yet", () => {
    const { env } = agentOf(daemonSet('replace-kube-proxy'));
    expect(env.slice(1).map(({ name, valueFrom }) => [name, valueFrom])).toEqual([
      ['KUBERNETES_SERVICE_HOST', { configMapKeyRef: { name: 'shunt-api-server', key: 'host' } }],
      ['KUBERNETES_SERVICE_PORT', { configMapKeyRef: { name: 'shunt-api-server', key: 'port' } }],
    ]);
  });

  it('least-privilege has four capabilities, a read-only root, seccomp and a limit', () => {
    const { securityContext, resources } = agentOf(daemonSet('least-privilege'));
    expect(securityContext).toEqual({
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsUser: 0,
      runAsGroup: 0,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'BPF', 'PERFMON', 'NET_RAW'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(resources.limits).toEqual({ memory: '1Gi' });
  });

  it('least-privilege differs from replace-kube-proxy in nothing else', () => {
    const strip = (set: DaemonSet) => {
      const { securityContext: _s, resources: _r, volumeMounts: _v, ...agent } = agentOf(set);
      return { ...set, spec: { ...set.spec, template: { agent } } };
    };
    expect(strip(daemonSet('least-privilege'))).toEqual(strip(daemonSet('replace-kube-proxy')));
  });
});
