import { writeFileSync } from 'node:fs';

export interface KubeconfigOptions {
  server: string;
  /** PEM of the authority to trust; absent for plain http. */
  caPem?: string;
  token?: string;
}

/** Text of a kubeconfig (JSON is YAML) with one cluster, user and context. */
export function renderKubeconfig({ server, caPem, token }: KubeconfigOptions): string {
  return JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'test',
          cluster: {
            server,
            ...(caPem === undefined
              ? {}
              : { 'certificate-authority-data': Buffer.from(caPem).toString('base64') }),
          },
        },
      ],
      users: [{ name: 'test', user: token === undefined ? {} : { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    },
    undefined,
    2,
  );
}

export function writeKubeconfig(path: string, options: KubeconfigOptions): void {
  writeFileSync(path, renderKubeconfig(options), { mode: 0o600 });
}
