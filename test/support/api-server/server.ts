import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { Admission, type FailureAnswer } from './admission.js';
import { ApiError } from './api-error.js';
import { type Certificate, makeCertificate } from './certificate.js';
import { discoveryDocument } from './discovery.js';
import { type KubeconfigOptions, writeKubeconfig } from './kubeconfig.js';
import { Lists } from './lists.js';
import type { RequestRecord, TestApiServerOptions } from './options.js';
import { type KubeObject, parsePath, resourceOfKind, type Target } from './resources.js';
import { parseSelector } from './selector.js';
import { Store } from './store.js';
import { WatchStream } from './watch-stream.js';
import { applyWrite } from './writes.js';

/**
 * A real HTTP server that speaks list and watch as a Kubernetes API server does, and misbehaves on demand. Objects
 * are put in by `put`/`delete` or over HTTP; `POST /_test/<fault>` makes the faults available to another process.
 */
export class TestApiServer {
  readonly requests: RequestRecord[] = [];
  readonly store: Store;
  readonly certificate: Certificate | undefined;
  /** May be changed while running. */
  readonly options: Required<Omit<TestApiServerOptions, 'tls' | 'token'>> &
    Pick<TestApiServerOptions, 'tls' | 'token'>;
  readonly #lists: Lists;
  readonly #watches = new Set<WatchStream>();
  readonly #sockets = new Set<Socket>();
  readonly #admission: Admission;
  #paused = false;
  #held: (() => void)[] = [];
  #server: http.Server | undefined;
  #bookmarks: NodeJS.Timeout | undefined;
  #port = 0;

  constructor(options: TestApiServerOptions = {}) {
    this.options = {
      host: '127.0.0.1',
      port: 0,
      latencyMs: 0,
      chunkBytes: 0,
      bookmarkIntervalMs: 0,
      historyLimit: 100_000,
      firstVersion: 1000,
      ...options,
    };
    this.store = new Store(this.options.firstVersion, this.options.historyLimit);
    this.#lists = new Lists(this.store);
    this.#admission = new Admission(options.token);
    if (options.tls) {
      const { names = [], expired = false } = options.tls === true ? {} : options.tls;
      this.certificate = makeCertificate([...new Set(['127.0.0.1', '::1', 'localhost', ...names])], {
        expired,
      });
    }
    this.store.subscribe((resource, entry) => {
      for (const watch of this.#watches) if (watch.options.resource === resource) watch.entry(entry);
    });
  }

  static async start(options: TestApiServerOptions = {}): Promise<TestApiServer> {
    const server = new TestApiServer(options);
    await server.listen();
    return server;
  }

  get url(): string {
    const host = this.options.host.includes(':') ? `[${this.options.host}]` : this.options.host;
    return `${this.certificate === undefined ? 'http' : 'https'}://${host}:${this.#port}`;
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  /** Begins to listen, on the port it had before if it had one. */
  async listen(): Promise<void> {
    const handler = (request: http.IncomingMessage, response: http.ServerResponse) => {
      void this.#serve(request, response);
    };
    const server =
      this.certificate === undefined
        ? http.createServer(handler)
        : https.createServer({ cert: this.certificate.certPem, key: this.certificate.keyPem }, handler);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port || this.options.port, this.options.host, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    if (this.options.bookmarkIntervalMs > 0) {
      this.#bookmarks = setInterval(() => this.bookmark(), this.options.bookmarkIntervalMs);
    }
  }

  async close(): Promise<void> {
    this.resume();
    await this.refuse();
  }

  // Objects

  put(...objects: KubeObject[]): KubeObject[] {
    return objects.map((object) => this.store.put(object));
  }

  delete(kind: string, name: string, namespace = 'default'): void {
    this.store.delete(resourceOfKind(kind), namespace, name);
  }

  writeKubeconfig(path: string, overrides: Partial<KubeconfigOptions> = {}): void {
    writeKubeconfig(path, {
      server: this.url,
      ...(this.certificate === undefined ? {} : { caPem: this.certificate.certPem }),
      ...(this.options.token === undefined ? {} : { token: this.options.token }),
      ...overrides,
    });
  }

  // Faults

  /** Cuts every connection; with `partialLine`, in the middle of a watch event. */
  async dropConnections(o: { partialLine?: boolean } = {}): Promise<void> {
    if (o.partialLine === true) {
      for (const watch of this.#watches)
        watch.raw('{"type":"MODIFIED","object":{"metadata":{"name":"cut-off-h');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Ends every watch in good order, as a server does when timeoutSeconds are over. */
  endWatches(): void {
    for (const watch of this.#watches) watch.end();
  }

  /** Stops listening and cuts every connection, until `listen`. */
  async refuse(): Promise<void> {
    clearInterval(this.#bookmarks);
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Connections stay and are accepted, but nothing is said on them any more. */
  pause(): void {
    this.#paused = true;
    for (const watch of this.#watches) watch.mute();
  }

  /** Answers again, requests held back first. Watches that were open at `pause` stay dead. */
  resume(): void {
    this.#paused = false;
    for (const release of this.#held.splice(0)) release();
  }

  /** The next `count` requests fail with this status. */
  failNext(count: number, code: number, answer: FailureAnswer = {}): void {
    this.#admission.failNext(count, code, answer);
  }

  /** Answers 403 to a verb (list, watch) on a resource; `allow` takes it back. */
  /** Every read of the resource is answered with this status from now on; 0: as it should be. */
  answerWith(plural: string, code: number): void {
    this.#admission.answerWith(plural, code);
  }

  forbid(verb: string, plural: string): void {
    this.#admission.forbid(verb, plural);
  }

  allow(verb: string, plural: string): void {
    this.#admission.allow(verb, plural);
  }

  /** Forgets the history; `expireWatches` also ends running watches with a 410 event. */
  compact(o: { expireWatches?: boolean } = {}): void {
    this.store.compact();
    if (o.expireWatches !== true) return;
    for (const watch of this.#watches) {
      watch.error(410, 'Expired', 'The resourceVersion for the provided watch is too old.');
      watch.end();
    }
  }

  bookmark(): void {
    for (const watch of this.#watches) watch.bookmark(this.store.version);
  }

  // Requests

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://test');
    const query = url.searchParams;
    const method = request.method ?? 'GET';
    const watch = ['1', 'true'].includes(query.get('watch') ?? '');
    const record: RequestRecord = { method, path: url.pathname, query, watch, status: 0 };
    this.requests.push(record);
    response.on('error', () => {});
    try {
      const body = await readBody(request);
      if (this.options.latencyMs > 0)
        await new Promise((resolve) => setTimeout(resolve, this.options.latencyMs));
      if (url.pathname.startsWith('/_test/')) {
        await this.#control(url.pathname.slice('/_test/'.length), query);
        this.#json(response, 200, {}, record);
        return;
      }
      if (this.#paused) await new Promise<void>((release) => this.#held.push(release));
      const target = parsePath(url.pathname);
      this.#admission.check(request, target, watch ? 'watch' : 'list');
      if (method === 'GET' && target !== undefined && target.name === undefined && watch) {
        this.#watch(target, query, response, record);
        return;
      }
      const { code, object } = this.#answer(method, url.pathname, target, query, body);
      this.#json(response, code, object, record);
    } catch (error) {
      const failure =
        error instanceof ApiError ? error : new ApiError(500, 'InternalError', (error as Error).message);
      this.#json(response, failure.code, failure.body, record, failure.headers);
    }
  }

  #answer(
    method: string,
    path: string,
    target: Target | undefined,
    query: URLSearchParams,
    body: string,
  ): { code: number; object: object } {
    if (target === undefined) {
      const document = method === 'GET' ? discoveryDocument(path) : undefined;
      if (document !== undefined) return { code: 200, object: document };
      throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    }
    const { resource, namespace, name } = target;
    if (method !== 'GET') return applyWrite(this.store, method, target, body);
    if (name !== undefined) {
      const object = this.store.get(resource, namespace, name);
      if (object === undefined) throw new ApiError(404, 'NotFound', `${resource.plural} "${name}" not found`);
      return { code: 200, object };
    }
    const matches = parseSelector(query.get('labelSelector') ?? '');
    const list = this.#lists.read(
      resource,
      ({ metadata }) =>
        (namespace === undefined || metadata.namespace === namespace) && matches(metadata.labels ?? {}),
      Number(query.get('limit') ?? 0),
      query.get('continue') ?? '',
    );
    return { code: 200, object: list };
  }

  #watch(target: Target, query: URLSearchParams, response: http.ServerResponse, record: RequestRecord): void {
    const { resource, namespace } = target;
    const stream = new WatchStream({
      resource,
      response,
      ...(namespace === undefined ? {} : { namespace }),
      matches: parseSelector(query.get('labelSelector') ?? ''),
      bookmarks: query.get('allowWatchBookmarks') === 'true',
      chunkBytes: this.options.chunkBytes,
    });
    record.status = 200;
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.flushHeaders();
    const from = query.get('resourceVersion') ?? '';
    if (from === '' || from === '0') for (const object of this.store.list(resource)) stream.added(object);
    else if (Number(from) < this.store.compactedVersion) {
      stream.error(410, 'Expired', `too old resource version: ${from} (${this.store.compactedVersion})`);
      stream.end();
      return;
    } else for (const entry of this.store.historySince(resource, Number(from))) stream.entry(entry);
    this.#watches.add(stream);
    const seconds = Number(query.get('timeoutSeconds') ?? 0);
    const timer = seconds > 0 ? setTimeout(() => stream.end(), seconds * 1000) : undefined;
    response.on('close', () => {
      clearTimeout(timer);
      this.#watches.delete(stream);
    });
  }

  async #control(action: string, query: URLSearchParams): Promise<void> {
    if (action === 'drop') await this.dropConnections({ partialLine: query.has('partialLine') });
    else if (action === 'compact') this.compact({ expireWatches: query.has('expireWatches') });
    else if (action === 'pause') this.pause();
    else if (action === 'resume') this.resume();
    else if (action === 'bookmark') this.bookmark();
    else if (action === 'end') this.endWatches();
    else throw new ApiError(404, 'NotFound', 'use drop, compact, pause, resume, bookmark or end');
  }

  #json(
    response: http.ServerResponse,
    code: number,
    body: object,
    record: RequestRecord,
    headers: Record<string, string> = {},
  ): void {
    record.status = code;
    if (response.headersSent) return;
    response.writeHead(code, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  }
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}
