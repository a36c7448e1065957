/** An ingress controller out of Debian's HAProxy: routes by host name to cluster IPs, as an Ingress object says. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Box, BoxProcess } from '../../../box/index.js';

interface IngressManifest {
  kind?: string;
  spec?: {
    rules: {
      host: string;
      http: { paths: { backend: { service: { name: string; port: { number: number } } } }[] };
    }[];
  };
}

export interface HostRule {
  host: string;
  service: string;
  port: number;
}

/** The rules of every Ingress in a manifest. */
export function readHostRules(path: string): HostRule[] {
  return parseAllDocuments(readFileSync(path, 'utf8'))
    .map((document) => document.toJS() as IngressManifest | null)
    .filter((object) => object?.kind === 'Ingress')
    .flatMap((object) => object?.spec?.rules ?? [])
    .flatMap(({ host, http }) =>
      http.paths.map(({ backend }) => ({
        host,
        service: backend.service.name,
        port: backend.service.port.number,
      })),
    );
}

/** Starts it in a pod and waits until it listens on port 80 of both families. */
export async function startController(
  box: Box,
  pod: string,
  name: string,
  rules: (HostRule & { clusterIp: string })[],
): Promise<BoxProcess> {
  const file = join(box.directory, `${pod}.haproxy.cfg`);
  const lines = [
    'global',
    '  maxconn 200',
    '  nbthread 1',
    'defaults',
    '  mode http',
    '  timeout connect 2s',
    '  timeout client 5s',
    '  timeout server 5s',
    'frontend http',
    '  bind :::80 v4v6',
    `  http-after-response set-header x-controller ${name}`,
    ...rules.map((r) => `  use_backend ${r.service} if { req.hdr(host),field(1,:) -i ${r.host} }`),
    '  default_backend nobody',
    'backend nobody',
    '  http-request return status 404',
    // A new connection for every request: each is a choice of its own.
    ...rules.flatMap((r) => [
      `backend ${r.service}`,
      '  http-reuse never',
      `  server ${r.service} ${r.clusterIp}:${r.port}`,
    ]),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const controller = box.spawn(pod, ['haproxy', '-db', '-f', file]);
  const listens = `until grep -q ':0050 .* 0A ' /proc/net/tcp6; do sleep 0.05; done`;
  await box.exec(pod, ['sh', '-c', listens], { timeoutMs: 10_000 }).catch((error: Error) => {
    throw new Error(`start haproxy in ${pod}: ${error.message} ${controller.stderr}`);
  });
  return controller;
}

// In a process of the box: a Host header of one's own is more than the box's client can do.
const ASK = `
import { request } from 'node:http';
const [host, port, count, ...names] = process.argv.slice(1);
const ask = (name) => new Promise((resolve) => {
  const done = (answer) => resolve({ name, ...answer });
  request({ host, port, agent: false, timeout: 3000, headers: { host: name } }, (response) => {
    let text = '';
    response.on('data', (data) => { text += data; });
    response.on('end', () => done({ status: response.statusCode, text, controller: response.headers['x-controller'] }));
  }).on('error', (error) => done({ error: error.code })).on('timeout', function () { this.destroy(); }).end();
});
const answers = [];
for (const name of names) for (let i = 0; i < Number(count); i++) answers.push(await ask(name));
console.log(JSON.stringify(answers));`;

export interface HostAnswers {
  /** By host name: status codes, and the names of the servers behind the controller. */
  [host: string]: { statuses: number[]; servers: string[]; controllers: string[] };
}

/** Asks for every host name some times, each on a connection of its own. */
export async function askByHost(
  box: Box,
  from: string,
  to: { ip: string; port: number; count: number },
  hosts: string[],
): Promise<HostAnswers> {
  const argv = [process.execPath, '--input-type=module', '-e', ASK, '--', to.ip];
  const { stdout } = await box.exec(from, [...argv, String(to.port), String(to.count), ...hosts]);
  const answers = JSON.parse(stdout) as {
    name: string;
    status?: number;
    text?: string;
    controller?: string;
    error?: string;
  }[];
  const unique = <T>(values: T[]): T[] => [...new Set(values)].sort();
  return Object.fromEntries(
    hosts.map((host) => {
      const mine = answers.filter(({ name }) => name === host);
      const server = (text: string) => (JSON.parse(text) as { server: string }).server;
      return [
        host,
        {
          statuses: unique(mine.map(({ status }) => status ?? 0)),
          servers: unique(mine.flatMap(({ status, text }) => (status === 200 && text ? [server(text)] : []))),
          controllers: unique(mine.flatMap(({ controller }) => (controller ? [controller] : []))),
        },
      ];
    }),
  );
}
