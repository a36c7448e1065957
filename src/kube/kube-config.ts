import { accessSync, constants, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { Field, FieldError, renderPath } from './fields.js';

/** The kubeconfig cannot be used; the message is a whole sentence for the operator. */
export class KubeConfigError extends Error {
  readonly code: string;
  constructor(message: string, code: string) {
    super(message);
    this.name = 'KubeConfigError';
    this.code = code;
  }
}

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * How to reach the API server: a kubeconfig file, or the service account of the pod we run in. Everything that can
 * be checked without a connection is checked here, because at start the operator is still looking.
 */
export function loadKubeConfig(path?: string): KubeConfig {
  return path === undefined ? loadInCluster() : loadFile(path);
}

function loadInCluster(): KubeConfig {
  if (!process.env.KUBERNETES_SERVICE_HOST || !process.env.KUBERNETES_SERVICE_PORT) {
    throw new KubeConfigError(
      'find API server: not running in a pod, KUBERNETES_SERVICE_HOST is not set (EINVAL). ' +
        'Give --kubeconfig FILE, or --manifests DIR to work without a cluster',
      'EINVAL',
    );
  }
  try {
    accessSync(SERVICE_ACCOUNT_TOKEN, constants.R_OK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    throw new KubeConfigError(
      `read ${SERVICE_ACCOUNT_TOKEN}: not readable (${code}). Set automountServiceAccountToken: true on the pod, or give --kubeconfig FILE`,
      code,
    );
  }
  const config = new KubeConfig();
  config.loadFromCluster();
  return config;
}

function loadFile(path: string): KubeConfig {
  const fail = (cause: string, code: string, next: string): never => {
    throw new KubeConfigError(`read kubeconfig ${path}: ${cause} (${code}). ${next}`, code);
  };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    const cause = code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'is a directory' : 'not readable';
    return fail(cause, code, 'Give the path of a readable kubeconfig file with --kubeconfig');
  }
  if (text.trim() === '') fail('is empty', 'EINVAL', 'Write one with kubectl config view --raw --flatten');
  const config = new KubeConfig();
  try {
    config.loadFromString(text);
    config.makePathsAbsolute(dirname(path));
    addTokenFiles(config, text, dirname(path));
  } catch (error) {
    const field = error instanceof FieldError ? `${renderPath(error.path)} ` : '';
    const cause = `${field}${error instanceof Error ? error.message.split('\n')[0] : String(error)}`;
    return fail(
      `not a kubeconfig: ${cause}`,
      'EINVAL',
      'Correct the file, or write a new one with kubectl config view --raw --flatten',
    );
  }
  checkConfig(config, fail);
  return config;
}

/** The library does not know `tokenFile`, which every other client does. */
function addTokenFiles(config: KubeConfig, text: string, directory: string): void {
  for (const entry of new Field(parse(text)).get('users').items()) {
    const tokenFile = entry.get('user').get('tokenFile').optionalString();
    const index = config.users.findIndex((user) => user.name === entry.get('name').value);
    const user = config.users[index];
    if (tokenFile === undefined || tokenFile === '' || user === undefined || user.token) continue;
    const path = isAbsolute(tokenFile) ? tokenFile : join(directory, tokenFile);
    config.users[index] = { ...user, authProvider: { name: 'tokenFile', config: { tokenFile: path } } };
  }
}

function checkConfig(config: KubeConfig, fail: (cause: string, code: string, next: string) => never): void {
  const context = config.getCurrentContext();
  if (!context) fail('has no current-context', 'EINVAL', 'Set one with kubectl config use-context');
  if (!config.getContexts().some((each) => each.name === context)) {
    fail(
      `current-context ${context} is not among its contexts`,
      'EINVAL',
      'Set one with kubectl config use-context',
    );
  }
  const wanted = config.getContextObject(context);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    fail(`cluster ${wanted?.cluster} is not among its clusters`, 'EINVAL', 'Correct the context');
    return;
  }
  if (wanted?.user && config.getCurrentUser() === null) {
    fail(`user ${wanted.user} is not among its users`, 'EINVAL', 'Correct the context');
  }
  if (!/^https?:$/.test(URL.canParse(cluster.server) ? new URL(cluster.server).protocol : '')) {
    fail(
      `server ${cluster.server} is no http or https address`,
      'EINVAL',
      'Write it like https://10.0.0.1:6443',
    );
  }
  const user = config.getCurrentUser();
  for (const [name, data] of [
    ['certificate-authority-data', cluster.caData],
    ['client-certificate-data', user?.certData],
    ['client-key-data', user?.keyData],
  ] as const) {
    if (!data || Buffer.from(data, 'base64').toString('latin1').includes('-----BEGIN ')) continue;
    fail(`its ${name} is no PEM in base64`, 'EINVAL', 'Write it with kubectl config view --raw --flatten');
  }
  for (const file of [cluster.caFile, user?.certFile, user?.keyFile]) {
    if (!file) continue;
    try {
      accessSync(file, constants.R_OK);
    } catch (error) {
      const { code = 'EIO' } = error as NodeJS.ErrnoException;
      fail(`it names ${file}, which is not readable`, code, 'Correct the path or the rights of that file');
    }
  }
}
