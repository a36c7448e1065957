import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManifestSource, type ManifestSourceOptions } from '../../../src/kube/manifest-source.js';
import type { EndpointSliceObject } from '../../../src/model/objects.js';
import { Recorder, until } from './recorder.js';

export class ManifestFixture implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'shunt-manifests-'));
  readonly sink = new Recorder();
  readonly debug: string[] = [];
  source: ManifestSource | undefined;

  write(name: string, text: string): void {
    writeFileSync(join(this.directory, name), text);
  }

  /** As careful editors write: beside, then renamed into place. */
  replace(name: string, text: string): void {
    this.write('.tmp', text);
    renameSync(join(this.directory, '.tmp'), join(this.directory, name));
  }

  remove(name: string): void {
    rmSync(join(this.directory, name));
  }

  async start(options: Partial<ManifestSourceOptions> = {}): Promise<void> {
    this.source = new ManifestSource({
      directory: this.directory,
      debounceMs: 10,
      log: { debug: (message) => this.debug.push(message), info() {} },
      ...options,
    });
    this.source.start(this.sink);
    await until('synced', () => this.sink.syncs === 1);
  }

  /** Waits until the directory has been read `times` more. */
  async scans(times: number): Promise<void> {
    const from = this.source?.stats.scans ?? 0;
    await until(`${times} scans`, () => (this.source?.stats.scans ?? 0) >= from + times);
  }

  get slices(): EndpointSliceObject[] {
    return [...this.sink.state.entries()]
      .filter(([id]) => id.startsWith('EndpointSlice '))
      .map(([, object]) => object as EndpointSliceObject);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source?.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function serviceYaml(name: string, spec = 'clusterIP: 10.96.0.20', port = 80): string {
  return `apiVersion: v1
kind: Service
metadata:
  name: ${name}
spec:
  ${spec.replaceAll('\n', '\n  ')}
  selector:
    app: ${name}
  ports:
    - port: ${port}
`;
}

export function podYaml(name: string, app: string, status: string, more = ''): string {
  return `apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  labels:
    app: ${app}
spec:
  nodeName: node1${more === '' ? '' : `\n  ${more.replaceAll('\n', '\n  ')}`}
status:
  ${status.replaceAll('\n', '\n  ')}
`;
}
