import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

export interface Answer {
  status: number;
  /** In the order and spelling in which they are sent; Content-Length and Date are added. */
  headers: Record<string, string>;
  body: string;
}

/** @param path without the query. */
export type Respond = (path: string, request: IncomingMessage) => Answer | Promise<Answer>;

export interface ListenAddress {
  /** An address, or 0.0.0.0 or :: (which takes IPv4 as well unless `ipv6Only`). */
  host: string;
  /** 0: the kernel chooses. */
  port: number;
  ipv6Only?: boolean;
}

export interface ListenerOptions extends ListenAddress {
  respond: Respond;
  /** It does not listen, and tries again by itself. */
  onFailure: (error: NodeJS.ErrnoException) => void;
  retryMs?: { first: number; most: number };
}

const RETRY = { first: 250, most: 5000 };
/** A probe is one short request: whoever is slower than this is holding a descriptor. */
const REQUEST_MS = 5000;

export const NOT_FOUND: Answer = {
  status: 404,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' },
  body: '404 page not found\n',
};

/** One HTTP server on one address that keeps trying until it may listen, and again if its socket breaks. */
export class Listener {
  readonly #o: ListenerOptions;
  #server: Server | undefined;
  #listening = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ListenerOptions) {
    this.#o = options;
  }

  get listening(): boolean {
    return this.#listening;
  }

  /** The port in use; differs from the one asked for when that was 0. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address.port : this.#o.port;
  }

  /** Resolves after the first try: undefined, or why it failed (`onFailure` has heard of it too). */
  start(): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => this.#listen(resolve));
  }

  /** Gives the port back before it returns; connections are cut. */
  close(): void {
    this.#closed = true;
    this.#listening = false;
    clearTimeout(this.#retry);
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  #listen(tried: (error: NodeJS.ErrnoException | undefined) => void): void {
    const { host, port, ipv6Only = false } = this.#o;
    const server = createServer(
      { headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS },
      (request, response) => this.#serve(request, response),
    );
    this.#server = server;
    server.on('error', (error: NodeJS.ErrnoException) => {
      this.#listening = false;
      server.close();
      if (this.#closed) return tried(undefined);
      this.#o.onFailure(error);
      const { first, most } = this.#o.retryMs ?? RETRY;
      const waitMs = Math.min(most, first * 2 ** Math.min(this.#failures++, 20));
      this.#retry = setTimeout(() => this.#listen(() => {}), waitMs);
      tried(error);
    });
    server.listen({ host, port, ipv6Only }, () => {
      this.#failures = 0;
      this.#listening = !this.#closed;
      tried(undefined);
    });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    // The body of a probe, if there is one, is nobody's business.
    request.resume();
    const path = (request.url ?? '/').split('?', 1)[0] as string;
    Promise.resolve()
      .then(() => this.#o.respond(path, request))
      .catch((error: unknown) => ({ ...NOT_FOUND, status: 500, body: `${String(error)}\n` }))
      .then((answer) => send(response, answer))
      .catch(() => response.destroy());
  }
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  // As Go's server does: a connection is kept without saying so.
  response.removeHeader('Connection');
  response.writeHead(status, { ...headers, 'Content-Length': String(Buffer.byteLength(body)) });
  response.end(body);
}
