import http from 'node:http';
import https from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { completeConfig } from './complete-config.js';
import { HttpStatusError, ProtocolError, SilentConnectionError } from './errors.js';

export interface RequestOptions {
  /** Path and query, e.g. /api/v1/services?limit=500. */
  path: string;
  signal: AbortSignal;
  /** Fail with SilentConnectionError when nothing arrives for so long, before or during the answer. */
  idleMs: number;
}

/** One request, told when its answer begins or when it failed without one. */
export interface RequestSample {
  method: string;
  /** undefined: no answer. */
  status: number | undefined;
  /** host:port of the server. */
  host: string;
  seconds: number;
}

const ERROR_BODY_BYTES = 64 * 1024;
/** Probe an idle connection early, so that a NAT on the way does not forget it. */
const KEEP_ALIVE_MS = 30_000;

/**
 * GET requests with the credentials of a KubeConfig. The library's own Watch is not used: it has no idle timeout,
 * drops lines it cannot parse, and gives no access to the body of an error.
 */
export class ApiClient {
  readonly server: string;
  readonly #config: KubeConfig;
  readonly #httpAgent = new http.Agent();
  // One agent for all requests resumes TLS sessions; connections themselves are not reused.
  readonly #httpsAgent = new https.Agent();

  constructor(
    config: KubeConfig,
    private readonly observe: (sample: RequestSample) => void = () => {},
  ) {
    const cluster = config.getCurrentCluster();
    if (cluster === null)
      throw new Error('use kubeconfig: it has no current cluster (EINVAL). Load it with loadKubeConfig');
    this.server = cluster.server.replace(/\/+$/, '');
    this.#config = completeConfig(config);
  }

  /** The answer with status 200; its body has not been read. Throws HttpStatusError for other statuses. */
  async get(options: RequestOptions): Promise<http.IncomingMessage> {
    const auth: https.RequestOptions = {};
    await this.#config.applyToHTTPSOptions(auth);
    options.signal.throwIfAborted();
    const response = await this.#timed(() => this.#request(auth, options));
    if (response.statusCode === 200) return response;
    throw await readStatusError(response);
  }

  async getJson(options: RequestOptions): Promise<unknown> {
    const response = await this.get(options);
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    const text = Buffer.concat(parts).toString('utf8');
    try {
      return JSON.parse(text);
    } catch {
      throw new ProtocolError(
        `the answer to ${options.path} is no JSON: ${JSON.stringify(text.slice(0, 80))}`,
      );
    }
  }

  async #timed(request: () => Promise<http.IncomingMessage>): Promise<http.IncomingMessage> {
    const startedMs = performance.now();
    let status: number | undefined;
    try {
      const response = await request();
      status = response.statusCode;
      return response;
    } finally {
      const seconds = (performance.now() - startedMs) / 1000;
      this.observe({ method: 'GET', status, host: new URL(this.server).host, seconds });
    }
  }

  #request(auth: https.RequestOptions, options: RequestOptions): Promise<http.IncomingMessage> {
    const url = new URL(this.server + options.path);
    const secure = url.protocol === 'https:';
    const viaProxy = Boolean(this.#config.getCurrentCluster()?.proxyUrl);
    const headers: http.OutgoingHttpHeaders = {};
    for (const [name, value] of Object.entries({ ...auth.headers })) {
      // A token file usually ends with a newline, which must not get into a header.
      headers[name] = typeof value === 'string' ? value.trim() : value;
    }
    headers.Accept = 'application/json';
    headers['User-Agent'] = 'shunt-agent';
    return new Promise((resolve, reject) => {
      const request = (secure ? https : http).request(url, {
        ...auth,
        headers,
        method: 'GET',
        signal: options.signal,
        // Counts from the connect on, so it also covers a server that accepts and says nothing.
        timeout: options.idleMs,
        ...(viaProxy ? {} : { agent: secure ? this.#httpsAgent : this.#httpAgent }),
      });
      let response: http.IncomingMessage | undefined;
      // Destroying the request under a running response would only say "aborted".
      request.on('timeout', () => (response ?? request).destroy(new SilentConnectionError(options.idleMs)));
      request.on('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
      request.on('error', reject);
      request.on('response', (incoming) => {
        response = incoming;
        resolve(incoming);
      });
      request.end();
    });
  }
}

async function readStatusError(response: http.IncomingMessage): Promise<HttpStatusError> {
  const status = response.statusCode ?? 0;
  let text = '';
  try {
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of response) {
      parts.push(part as Buffer);
      bytes += (part as Buffer).length;
      if (bytes > ERROR_BODY_BYTES) break;
    }
    text = Buffer.concat(parts).toString('utf8');
  } catch {
    // The status alone says enough.
  }
  const seconds = Number(response.headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  const { message, reason } = parseStatus(text);
  const detail = message || text.trim().slice(0, 200) || http.STATUS_CODES[status] || 'no explanation';
  return new HttpStatusError(status, detail, reason, retryAfterMs);
}

/** Message and reason of a Kubernetes Status object; empty when the text is none. */
function parseStatus(text: string): { message: string; reason: string } {
  try {
    const status = JSON.parse(text) as { message?: unknown; reason?: unknown } | null;
    return {
      message: typeof status?.message === 'string' ? status.message : '',
      reason: typeof status?.reason === 'string' ? status.reason : '',
    };
  } catch {
    return { message: '', reason: '' };
  }
}
