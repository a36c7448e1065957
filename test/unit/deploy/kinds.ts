/**
 * The kinds that deploy/ contains, as strict as the API server's own decoding: an unknown or misplaced field is
 * an error. Only fields that are used are listed; whoever uses another one adds it here, with its type.
 */
import { z } from 'zod';

const labels = z.record(z.string(), z.string());
const metadata = z.strictObject({ name: z.string(), namespace: z.string().optional(), labels });
const quantity = z.string().regex(/^\d+(m|Mi|Gi)?$/);
const port = z.int().min(1).max(65_535);

const serviceAccount = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('ServiceAccount'),
  metadata,
});

const configMap = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('ConfigMap'),
  metadata,
  data: z.record(z.string(), z.string()),
});

const clusterRole = z.strictObject({
  apiVersion: z.literal('rbac.authorization.k8s.io/v1'),
  kind: z.literal('ClusterRole'),
  metadata: metadata.omit({ namespace: true }),
  rules: z.array(
    z.strictObject({
      apiGroups: z.array(z.string()),
      resources: z.array(z.string()),
      verbs: z.array(z.string()),
    }),
  ),
});

const clusterRoleBinding = z.strictObject({
  apiVersion: z.literal('rbac.authorization.k8s.io/v1'),
  kind: z.literal('ClusterRoleBinding'),
  metadata: metadata.omit({ namespace: true }),
  roleRef: z.strictObject({
    apiGroup: z.literal('rbac.authorization.k8s.io'),
    kind: z.literal('ClusterRole'),
    name: z.string(),
  }),
  subjects: z.array(
    z.strictObject({ kind: z.literal('ServiceAccount'), name: z.string(), namespace: z.string() }),
  ),
});

const probe = z.strictObject({
  httpGet: z.strictObject({ path: z.string().startsWith('/'), port }),
  periodSeconds: z.int().positive(),
  timeoutSeconds: z.int().positive().optional(),
  failureThreshold: z.int().positive().optional(),
});

const env = z.strictObject({
  name: z.string(),
  valueFrom: z.union([
    z.strictObject({ fieldRef: z.strictObject({ fieldPath: z.string() }) }),
    z.strictObject({ configMapKeyRef: z.strictObject({ name: z.string(), key: z.string() }) }),
  ]),
});

const container = z.strictObject({
  name: z.string(),
  image: z.string(),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
  args: z.array(z.string()),
  env: z.array(env),
  securityContext: z.strictObject({
    privileged: z.boolean(),
    allowPrivilegeEscalation: z.boolean().optional(),
    readOnlyRootFilesystem: z.boolean().optional(),
    runAsUser: z.int().optional(),
    runAsGroup: z.int().optional(),
    capabilities: z.strictObject({ drop: z.array(z.string()), add: z.array(z.string()) }).optional(),
    seccompProfile: z
      .strictObject({ type: z.enum(['RuntimeDefault', 'Unconfined', 'Localhost']) })
      .optional(),
  }),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  resources: z.strictObject({
    requests: z.record(z.enum(['cpu', 'memory']), quantity),
    limits: z.partialRecord(z.enum(['cpu', 'memory']), quantity).optional(),
  }),
  volumeMounts: z.array(
    z.strictObject({
      name: z.string(),
      mountPath: z.string().startsWith('/'),
      mountPropagation: z.enum(['None', 'HostToContainer', 'Bidirectional']),
      readOnly: z.boolean().optional(),
    }),
  ),
});

const daemonSet = z.strictObject({
  apiVersion: z.literal('apps/v1'),
  kind: z.literal('DaemonSet'),
  metadata,
  spec: z.strictObject({
    selector: z.strictObject({ matchLabels: labels }),
    updateStrategy: z.strictObject({
      type: z.literal('RollingUpdate'),
      rollingUpdate: z.strictObject({ maxUnavailable: z.int(), maxSurge: z.int() }),
    }),
    minReadySeconds: z.int(),
    template: z.strictObject({
      metadata: z.strictObject({ labels }),
      spec: z.strictObject({
        serviceAccountName: z.string(),
        priorityClassName: z.string(),
        hostNetwork: z.boolean(),
        dnsPolicy: z.enum(['Default', 'ClusterFirst', 'ClusterFirstWithHostNet', 'None']),
        terminationGracePeriodSeconds: z.int(),
        nodeSelector: labels,
        tolerations: z.array(
          z.strictObject({ operator: z.enum(['Exists', 'Equal']), key: z.string().optional() }),
        ),
        containers: z.tuple([container]),
        volumes: z.array(
          z.strictObject({
            name: z.string(),
            hostPath: z.strictObject({
              path: z.string().startsWith('/'),
              type: z.enum(['Directory', 'DirectoryOrCreate']),
            }),
          }),
        ),
      }),
    }),
  }),
});

const object = z.discriminatedUnion('kind', [
  serviceAccount,
  configMap,
  clusterRole,
  clusterRoleBinding,
  daemonSet,
]);

export type DeployObject = z.infer<typeof object>;
export type DaemonSet = z.infer<typeof daemonSet>;
export type ClusterRole = z.infer<typeof clusterRole>;

/** @throws ZodError with the path of everything that is wrong. */
export function checkObjects(objects: unknown[]): DeployObject[] {
  return z.array(object).parse(objects);
}

export function ofKind<K extends DeployObject['kind']>(
  objects: DeployObject[],
  kind: K,
): Extract<DeployObject, { kind: K }> {
  const found = objects.filter((o): o is Extract<DeployObject, { kind: K }> => o.kind === kind);
  const [one] = found;
  if (found.length !== 1 || one === undefined) throw new Error(`find the ${kind}: there are ${found.length}`);
  return one;
}
