/** The test API server as a process on the box's underlay, and objects put into it over HTTP. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Box, type BoxProcess, repositoryRoot } from '../../../box/index.js';
import type { KubeObject } from './objects.js';

const HOST = '172.30.0.1';
const PORT = 6443;

const PATHS: Record<string, { prefix: string; plural: string; namespaced: boolean }> = {
  Service: { prefix: '/api/v1', plural: 'services', namespaced: true },
  Node: { prefix: '/api/v1', plural: 'nodes', namespaced: false },
  ServiceCIDR: { prefix: '/apis/networking.k8s.io/v1', plural: 'servicecidrs', namespaced: false },
  EndpointSlice: { prefix: '/apis/discovery.k8s.io/v1', plural: 'endpointslices', namespaced: true },
};

// Requests must come from inside the box, so they are made by a process there; one for many objects.
const SEND = `
import { readFileSync } from 'node:fs';
for (const { method, url, body, mayDrop } of JSON.parse(readFileSync(process.argv[1], 'utf8'))) {
  try {
    const answer = await fetch(url, { method, headers: { 'content-type': 'application/json' }, body });
    if (!answer.ok && !(method === 'DELETE' && answer.status === 404))
      throw new Error(method + ' ' + url + ': ' + answer.status + ' ' + (await answer.text()));
  } catch (error) {
    if (!mayDrop) throw error;
  }
}`;

interface Request {
  method: string;
  url: string;
  body?: string;
  /** The answer may be lost: the request is about dropping connections. */
  mayDrop?: boolean;
}

export class BoxApi {
  readonly kubeconfig: string;
  private readonly known = new Set<string>();

  private constructor(
    private readonly box: Box,
    readonly process: BoxProcess,
  ) {
    this.kubeconfig = join(box.directory, 'kubeconfig');
  }

  static async start(box: Box): Promise<BoxApi> {
    const argv = [process.execPath, join(repositoryRoot(), 'dist/test/support/api-server/main.js')];
    argv.push('--host', HOST, '--port', String(PORT), '--kubeconfig', join(box.directory, 'kubeconfig'));
    const server = box.spawn('switch', argv);
    await server.waitForLine(/^listening on/, 10_000);
    return new BoxApi(box, server);
  }

  private url(path: string): string {
    return `http://${HOST}:${PORT}${path}`;
  }

  private path(object: KubeObject): { collection: string; item: string } {
    const kind = PATHS[object.kind];
    if (!kind) throw new Error(`send ${object.kind}: the test API server has no such resource`);
    const namespace = kind.namespaced ? `/namespaces/${object.metadata.namespace ?? 'default'}` : '';
    const collection = `${kind.prefix}${namespace}/${kind.plural}`;
    return { collection, item: `${collection}/${object.metadata.name}` };
  }

  async put(...objects: KubeObject[]): Promise<void> {
    const requests = objects.map((object) => {
      const { collection, item } = this.path(object);
      const body = JSON.stringify(object);
      if (this.known.has(item)) return { method: 'PUT', url: this.url(item), body };
      this.known.add(item);
      return { method: 'POST', url: this.url(collection), body };
    });
    await this.send(requests);
  }

  async delete(...objects: KubeObject[]): Promise<void> {
    await this.send(
      objects.map((object) => {
        const { item } = this.path(object);
        this.known.delete(item);
        return { method: 'DELETE', url: this.url(item) };
      }),
    );
  }

  /** `drop`, `compact`, `pause`, `resume`, `bookmark` or `end`. */
  async control(action: string): Promise<void> {
    await this.send([{ method: 'POST', url: this.url(`/_test/${action}`), mayDrop: true }]);
  }

  private async send(requests: Request[]): Promise<void> {
    const file = join(this.box.directory, 'requests.json');
    writeFileSync(file, JSON.stringify(requests));
    const argv = [process.execPath, '--input-type=module', '-e', SEND, '--', file];
    await this.box.exec('switch', argv, { timeoutMs: 20_000 });
  }
}
