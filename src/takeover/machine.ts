/** What this room does to the machine, so that tests can be another one. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { type LinkInfo, Netlink, type RouteInfo } from '../native/index.js';

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

export interface HttpAnswer {
  status: number;
  body: string;
}

export interface Machine {
  /** Runs a program to its end; undefined when it is not installed. */
  run(argv: readonly string[], input?: string): Promise<Output | undefined>;
  /** Content of a file; undefined when there is none. */
  read(path: string): string | undefined;
  /** GET without following anything; undefined when nobody answers within a second. */
  http(host: string, port: number, path: string): Promise<HttpAnswer | undefined>;
  links(): Promise<LinkInfo[]>;
  routes(): Promise<RouteInfo[]>;
  sleep(ms: number): Promise<void>;
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
}

const HTTP_MS = 1000;
const HTTP_BODY = 1 << 20;

/** The machine and network namespace that this process is in. */
export function realMachine(): Machine {
  return {
    run,
    read: (path) => {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    http,
    links: () => dump((netlink) => netlink.dumpLinks()),
    routes: () => dump((netlink) => netlink.dumpRoutes()),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    now: () => performance.now(),
  };
}

async function dump<T>(what: (netlink: Netlink) => Promise<T>): Promise<T> {
  const netlink = new Netlink({ events: [] });
  try {
    return await what(netlink);
  } finally {
    netlink.close();
  }
}

function run(argv: readonly string[], input = ''): Promise<Output | undefined> {
  return new Promise((resolve, reject) => {
    // Rules are compared as text: it must not be in somebody's language.
    const env = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
    const child = spawn(argv[0] as string, argv.slice(1), { env, stdio: ['pipe', 'pipe', 'pipe'] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => stdout.push(data));
    child.stderr.on('data', (data: Buffer) => stderr.push(data));
    child.stdin.on('error', () => {}); // it may end without reading everything
    child.stdin.end(input);
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
    child.on('close', (code) => {
      const text = (parts: Buffer[]) => Buffer.concat(parts).toString('utf8');
      resolve({ code: code ?? 255, stdout: text(stdout), stderr: text(stderr) });
    });
  });
}

function http(host: string, port: number, path: string): Promise<HttpAnswer | undefined> {
  return new Promise((resolve) => {
    const request = get({ host, port, path, agent: false, timeout: HTTP_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
        if (body.length > HTTP_BODY) request.destroy();
      });
      response.on('error', () => {});
      response.on('close', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}
