import { statSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';
import type { RequestSample } from '../kube/api-client.js';
import { ApiSource } from '../kube/api-source.js';
import { EventRecorder } from '../kube/event-recorder.js';
import { loadKubeConfig } from '../kube/kube-config.js';
import { ManifestSource } from '../kube/manifest-source.js';
import type { Source } from '../kube/source.js';
import type { Logger } from './log.js';
import type { SourceOptions } from './options.js';

/**
 * Makes the source and checks what can be checked without waiting for anybody.
 * @throws Error with a sentence about the kubeconfig, the service account or the directory.
 */
export function openSource(
  options: SourceOptions,
  { nodeName, serviceCIDRs }: { nodeName: string; serviceCIDRs: string[] },
  log: Logger,
  observe: (sample: RequestSample) => void = () => {},
): { source: Source; from: string; events?: EventRecorder | undefined } {
  const sourceLog = {
    debug: (message: string) => log.debug(message),
    info: (message: string) => log.info(message),
  };
  if (options.kind === 'manifests') {
    checkDirectory(options.directory);
    const source = new ManifestSource({
      directory: options.directory,
      clusterIPRange: serviceCIDRs,
      log: sourceLog,
    });
    return { source, from: options.directory };
  }
  const kubeConfig = kubeConfigOf(options);
  const source = new ApiSource({ kubeConfig, log: sourceLog, observe });
  const events = new EventRecorder({ kubeConfig, nodeName, log: { warn: (message) => log.warn(message) } });
  return { source, from: source.server, events };
}

function kubeConfigOf(options: Exclude<SourceOptions, { kind: 'manifests' }>): KubeConfig {
  if (options.kind === 'server') {
    const kubeConfig = new KubeConfig();
    kubeConfig.loadFromClusterAndUser(
      { name: 'master', server: options.server, skipTLSVerify: false },
      { name: 'anonymous' },
    );
    return kubeConfig;
  }
  const kubeConfig = loadKubeConfig(options.kind === 'kubeconfig' ? options.path : undefined);
  if (options.kind === 'kubeconfig' && options.context !== undefined) {
    if (!kubeConfig.getContextObject(options.context)) {
      const known = kubeConfig.getContexts().map((context) => context.name);
      throw new Error(
        `read kubeconfig ${options.path}: it has no context ${options.context} (ENOENT). name one of ${known.join(', ')} with --context`,
      );
    }
    kubeConfig.setCurrentContext(options.context);
  }
  const { server } = options;
  if (server === undefined) return kubeConfig;
  const current = kubeConfig.getCurrentCluster()?.name;
  kubeConfig.clusters = kubeConfig.clusters.map((cluster) =>
    cluster.name === current ? { ...cluster, server } : cluster,
  );
  return kubeConfig;
}

function checkDirectory(directory: string): void {
  const next = 'name a directory of YAML or JSON manifests with --manifests';
  let isDirectory: boolean;
  try {
    isDirectory = statSync(directory).isDirectory();
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    const cause = code === 'ENOENT' ? 'no such directory' : 'not readable';
    throw new Error(`read manifests ${directory}: ${cause} (${code}). ${next}`);
  }
  if (!isDirectory) throw new Error(`read manifests ${directory}: not a directory (ENOTDIR). ${next}`);
}
