/** Runs the image that scripts/build-image.sh built with runc, as the least-privilege overlay asks for it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type BoxNode, repositoryRoot } from '../../../box/index.js';
import { runtimeDefault } from './seccomp.js';

export const IMAGE = join(repositoryRoot(), 'build/image/shunt.tar');

interface ImageConfig {
  Entrypoint: string[];
  Cmd?: string[];
  Env: string[];
  WorkingDir?: string;
}

/** The part of the DaemonSet's container that a runtime turns into a process. */
export interface ContainerSpec {
  args: string[];
  capabilities: string[];
  readOnlyRoot: boolean;
  noNewPrivileges: boolean;
  memoryBytes: number;
}

/** @throws Error when the overlay asks for something that this runtime does not do. */
export function specOfOverlay(overlay: string): ContainerSpec {
  const text = readFileSync(join(repositoryRoot(), `deploy/rendered/${overlay}.yaml`), 'utf8');
  const set = parseAllDocuments(text)
    .map((document) => document.toJS())
    .find((object) => object?.kind === 'DaemonSet');
  const { args, securityContext, resources } = set.spec.template.spec.containers[0];
  const { capabilities, seccompProfile, privileged } = securityContext;
  const limit = /^(\d+)Gi$/.exec(resources.limits.memory);
  if (privileged || seccompProfile.type !== 'RuntimeDefault' || capabilities.drop[0] !== 'ALL' || !limit)
    throw new Error(`run overlay ${overlay}: not the least privileges that this runtime knows`);
  return {
    args,
    capabilities: capabilities.add.map((name: string) => `CAP_${name}`),
    readOnlyRoot: securityContext.readOnlyRootFilesystem,
    noNewPrivileges: securityContext.allowPrivilegeEscalation === false,
    memoryBytes: Number(limit[1]) * 2 ** 30,
  };
}

/** Unpacks the archive's layers into `directory`/rootfs, as an unpacker would: the image has no whiteouts. */
export function unpackImage(directory: string): ImageConfig {
  const layout = join(directory, 'layout');
  const rootfs = join(directory, 'rootfs');
  for (const path of [layout, rootfs]) mkdirSync(path, { recursive: true });
  execFileSync('tar', ['-xf', IMAGE, '-C', layout]);
  const blob = (digest: string) => join(layout, 'blobs', digest.replace(':', '/'));
  const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  const [{ digest }] = json(join(layout, 'index.json')).manifests;
  const manifest = json(blob(digest));
  for (const layer of manifest.layers) execFileSync('tar', ['-xzf', blob(layer.digest), '-C', rootfs]);
  return json(blob(manifest.config.digest)).config;
}

export interface BundleOptions {
  image: ImageConfig;
  spec: ContainerSpec;
  node: BoxNode;
  /** Directory of manifests, read-only in the container. */
  manifests: string;
  id: string;
}

/** Writes config.json: host network of the node, its bpffs and cgroup where the overlay mounts the host's. */
export function writeBundle(directory: string, o: BundleOptions): void {
  const { spec, image, node } = o;
  const args = spec.args.map((arg) => arg.replace('$(NODE_NAME)', node.name));
  const bind = (source: string, destination: string, ...options: string[]) => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', 'rprivate', ...options],
  });
  const readOnly = ['nosuid', 'noexec', 'nodev', 'ro'];
  const config = {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 0, gid: 0 },
      args: [...image.Entrypoint, ...args, '--manifests=/manifests'],
      env: image.Env,
      cwd: image.WorkingDir || '/',
      capabilities: {
        bounding: spec.capabilities,
        effective: spec.capabilities,
        permitted: spec.capabilities,
      },
      noNewPrivileges: spec.noNewPrivileges,
    },
    root: { path: 'rootfs', readonly: spec.readOnlyRoot },
    hostname: node.name,
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=64k'] },
      // Of the machine, as in a pod with the host's network: only what is mounted below it is the node's.
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: readOnly },
      bind(node.bpffs, '/sys/fs/bpf', 'rw'),
      bind(node.cgroup, '/host/cgroup', 'ro'),
      bind(o.manifests, '/manifests', 'ro'),
    ],
    linux: {
      cgroupsPath: `/${o.id}`,
      resources: {
        devices: [{ allow: false, access: 'rwm' }],
        memory: { limit: spec.memoryBytes },
      },
      seccomp: runtimeDefault(spec.capabilities),
      namespaces: [
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        { type: 'network', path: node.netns },
      ],
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config, null, 2));
}
