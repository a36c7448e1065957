/** Sockets in the box that do one thing at a time, for tests in which the order of a few calls matters. */
import { type Box, type BoxProcess, toolPath, type Where } from '../../../box/index.js';

/** What the server in a pod says about a request. */
export interface ServerLine {
  server: string;
  peer: string;
  peerPort: number;
  local: string;
  localPort: number;
  /** UDP: of the datagram that it received. */
  length?: number;
}

export interface Answer {
  error?: string;
  eof?: boolean;
  /** Bytes received. */
  length?: number;
  /** "address:port" of the datagram's sender or the accepted peer; address of a ping's answer. */
  from?: string;
  answer?: ServerLine | null;
  mtu?: number;
}

export interface Bound {
  source?: string;
  port?: number;
}

const LIMIT_MS = 1500;

export class Puppet implements AsyncDisposable {
  private last: Promise<unknown> = Promise.resolve();
  private answered = 1; // the ready line

  private constructor(private readonly process: BoxProcess) {}

  static async start(box: Box, where: Where): Promise<Puppet> {
    const process = box.spawn(where, [toolPath('puppet')], { interactive: true });
    await process.waitForLine(/"event":"ready"/);
    return new Puppet(process);
  }

  /** One command after the other, in the order of the calls. */
  private async tell(...words: (string | number)[]): Promise<Answer> {
    const mine = this.last.then(async () => {
      this.process.write(`${words.join(' ')}\n`);
      const index = this.answered++;
      await this.process.waitForLine(() => this.process.stdout.split('\n').length - 1 > index, 70_000);
      return JSON.parse(this.process.stdout.split('\n')[index] as string) as Answer;
    });
    this.last = mine.catch(() => {});
    return mine;
  }

  /** Connects; on success the socket is kept under its id. */
  tcp(id: string, to: string, o: Bound & { ms?: number } = {}): Promise<Answer> {
    return this.tell('tcp', id, o.source ?? '-', o.port ?? 0, to, o.ms ?? LIMIT_MS);
  }

  udp(id: string, family: 4 | 6, o: Bound & { dontFragment?: boolean } = {}): Promise<Answer> {
    const words = ['udp', id, o.source ?? '-', o.port ?? 0, family];
    return this.tell(...words, ...(o.dontFragment ? ['df'] : []));
  }

  /** Connects a UDP socket. */
  peer(id: string, to: string): Promise<Answer> {
    return this.tell('peer', id, to);
  }

  listen(id: string, port: number): Promise<Answer> {
    return this.tell('listen', id, port);
  }

  accept(id: string, connection: string, ms = LIMIT_MS): Promise<Answer> {
    return this.tell('accept', id, connection, ms);
  }

  /** An HTTP request on an open connection. */
  get(id: string, ms = LIMIT_MS): Promise<Answer> {
    return this.tell('get', id, ms);
  }

  /** @param pad bytes of the answer (0: as long as it is). @param to `-`: the socket's peer. */
  ask(id: string, to: string, o: { size?: number; pad?: number; ms?: number } = {}): Promise<Answer> {
    return this.tell('ask', id, to, o.size ?? 32, o.pad ?? 0, o.ms ?? LIMIT_MS);
  }

  send(id: string, to = '-', size = 32): Promise<Answer> {
    return this.tell('send', id, to, size);
  }

  receive(id: string, ms = LIMIT_MS): Promise<Answer> {
    return this.tell('recv', id, ms);
  }

  /** FIN; reading goes on. */
  shutdown(id: string): Promise<Answer> {
    return this.tell('shutdown', id);
  }

  async closeSocket(id: string): Promise<void> {
    await this.tell('close', id);
  }

  async reset(id: string): Promise<void> {
    await this.tell('rst', id);
  }

  async pathMtu(id: string): Promise<number> {
    return (await this.tell('mtu', id)).mtu ?? 0;
  }

  ping(to: string, o: { size?: number; ms?: number } = {}): Promise<Answer> {
    return this.tell('ping', to, o.size ?? 64, o.ms ?? LIMIT_MS);
  }

  async close(): Promise<void> {
    await this.process.stop('SIGTERM');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
