import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { agentArguments, isReadyLine } from '../../box/agent.js';
import { findCgroup2 } from '../../box/cgroup.js';
import { createBox, reapStale } from '../../box/index.js';

const OWNER = fileURLToPath(new URL('../support/netns/box-owner.mjs', import.meta.url));

/** Everything on the machine that carries the box's id. */
function traces(id: string): string[] {
  const found = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n');
  found.push(...readFileSync('/proc/self/mounts', 'utf8').split('\n'));
  for (const path of [`/run/shunt-box/${id}`, `/run/shunt-box/${id}.json`]) {
    if (existsSync(path)) found.push(path);
  }
  const cgroup = `${findCgroup2()}/shunt-box-${id}`;
  if (existsSync(cgroup)) found.push(cgroup);
  return found.filter((line) => line.includes(`sb${id}-`) || line.includes(`/${id}`) || line.endsWith(id));
}

function isAlive(pid: number): boolean {
  try {
    // A process that has ended and waits for its parent to notice is not alive.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function waitUntil(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('closing a box', () => {
  it('leaves no namespace, mount, cgroup, file or process, and may be done twice', async () => {
    const box = await createBox();
    const server = await box.serve('a1');
    // A grandchild in a session of its own is out of reach of signals to the group.
    const escaped = box.spawn('node1', ['sh', '-c', 'setsid sleep 1000 & echo $!; wait']);
    const sleeper = Number(await escaped.waitForLine(/\d+/));
    mkdirSync(box.node('node1').pinPath);
    expect(traces(box.id).length).toBeGreaterThan(10);
    await box.close();
    expect(traces(box.id)).toEqual([]);
    for (const pid of [server.pid, escaped.pid, sleeper]) expect(isAlive(pid)).toBe(false);
    expect((await server.exited).signal).toBe('SIGKILL');
    await box.close();
    box.closeSync();
  });

  it('happens by itself when the build fails, and the cause is told', async () => {
    const bin = mkdtempSync(join(tmpdir(), 'shunt-box-bin-'));
    // It notes where it was called: that name has the id of the box.
    const place = join(bin, 'place');
    writeFileSync(
      join(bin, 'ethtool'),
      `#!/bin/sh\nip netns identify >>${place}\necho no such feature >&2\nexit 1\n`,
    );
    chmodSync(join(bin, 'ethtool'), 0o755);
    const path = process.env.PATH;
    let namespace = '';
    process.env.PATH = `${bin}:${path}`;
    try {
      await expect(createBox({ txOffload: 'off' })).rejects.toThrow(/no such feature/);
      namespace = readFileSync(place, 'utf8');
    } finally {
      process.env.PATH = path;
      rmSync(bin, { recursive: true });
    }
    const id = /^sb(\w+)-/.exec(namespace)?.[1];
    if (id === undefined) throw new Error(`find the name of a box in ${namespace}`);
    expect(traces(id)).toEqual([]);
  });

  it.each([
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGTERM'],
    ['process.exit()', 'exit'],
    ['an uncaught exception', 'throw'],
  ])('happens by itself when the owner ends by %s', async (_, how) => {
    const owner = spawn(process.execPath, [OWNER, how], { stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
      owner.on('close', (code, signal) => resolve({ code, signal }));
    });
    const { id, serverPid } = await firstLine(owner.stdout);
    if (how.startsWith('SIG')) owner.kill(how as NodeJS.Signals);
    const { code, signal } = await ended;
    if (how.startsWith('SIG')) expect(signal).toBe(how);
    else expect(code).toBe(how === 'exit' ? 0 : 1);
    expect(traces(id)).toEqual([]);
    await waitUntil(() => !isAlive(serverPid), 'end of the server');
  });

  it('is made up for by reapStale() after the owner was killed by SIGKILL', async () => {
    const owner = spawn(process.execPath, [OWNER], { stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = new Promise((resolve) => owner.on('close', resolve));
    const { id, serverPid } = await firstLine(owner.stdout);
    expect(reapStale()).not.toContain(id); // its owner is alive
    expect(isAlive(serverPid)).toBe(true);
    expect(traces(id).length).toBeGreaterThan(5);
    owner.kill('SIGKILL');
    await ended;
    // Tests run beside each other: another one that begins a box may have been quicker.
    reapStale();
    await waitUntil(() => traces(id).length === 0, 'no trace of the box');
    await waitUntil(() => !isAlive(serverPid), 'end of the server');
  });
});

function firstLine(stream: NodeJS.ReadableStream | null): Promise<{ id: string; serverPid: number }> {
  return new Promise((resolve, reject) => {
    let text = '';
    stream?.on('data', (chunk: Buffer) => {
      text += chunk;
      if (text.includes('\n')) resolve(JSON.parse(text.slice(0, text.indexOf('\n'))));
    });
    stream?.on('end', () => reject(new Error(`the owner ended early: ${text}`)));
  });
}

describe('an agent in a node', () => {
  const script = [
    'echo "{\\"level\\":30,\\"msg\\":\\"not ready: waiting\\"}"',
    'readlink /proc/self/ns/net',
    'cat /proc/self/cgroup',
    'echo "arguments: $*"',
    'sleep 0.1',
    'echo "{\\"level\\":30,\\"msg\\":\\"serving 3 services\\"}"',
    'exec sleep 1000',
  ].join('\n');

  it('runs in its namespace and cgroup, is waited for, killed and started again', async () => {
    await using box = await createBox({ nodes: 1 });
    const node = box.node('node1');
    const command = ['sh', '-c', script, 'agent'];
    const agent = node.startAgent(['--manifests', box.directory], { command });
    await agent.waitReady();
    const { stdout } = await box.exec('node1', ['readlink', '/proc/self/ns/net']);
    expect(agent.log).toContain(stdout);
    expect(agent.log).toContain(`/shunt-box-${box.id}/node1\n`);
    expect(agent.log).toContain(
      `arguments: agent --manifests ${box.directory} --hostname-override node1 --pin-path ${node.pinPath} --cgroup ${node.cgroup}`,
    );
    expect((await agent.kill('SIGKILL')).signal).toBe('SIGKILL');
    expect(agent.running).toBe(false);
    const second = node.startAgent([], { command });
    await second.waitReady();
    expect((await second.kill()).signal).toBe('SIGTERM');
  });

  it('that ends early or says nothing is told with its log', async () => {
    await using box = await createBox({ nodes: 1, pods: [] });
    const node = box.node('node1');
    const dead = node.startAgent([], { command: ['sh', '-c', 'echo cannot load >&2; exit 4'] });
    await expect(dead.waitReady()).rejects.toThrow(/node1: it ended with 4.*cannot load/s);
    const silent = node.startAgent([], { command: ['sh', '-c', 'sleep 100'] });
    await expect(silent.waitReady(100)).rejects.toThrow(/nothing within 100 ms/);
  });

  it('keeps the flags that it is given', () => {
    const place = { name: 'node1', netns: '', cgroup: '/c', directory: '/d', pinPath: '/p' };
    expect(agentArguments(place, ['--pin-path=/x', '--hostname-override', 'n'])).toEqual([
      'agent',
      '--pin-path=/x',
      '--hostname-override',
      'n',
      '--cgroup',
      '/c',
    ]);
  });

  it.each([
    ['{"level":30,"msg":"ready"}', true],
    ['{"level":30,"msg":"serving 12 services"}', true],
    ['{"level":30,"msg":"not yet ready"}', false],
    ['{"level":30,"msg":"already there"}', false],
    ['{"level":30,"msg":"started","ready":true}', false],
    ['{"msg":"serv', false],
    ['serving', true],
  ])('log line %s means ready: %s', (line, ready) => {
    expect(isReadyLine(line)).toBe(ready);
  });
});
