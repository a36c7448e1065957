import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ManifestSource } from '../../../src/kube/manifest-source.js';
import { ManifestFixture, serviceYaml } from './manifest-fixture.js';
import { Recorder, until } from './recorder.js';

describe('reading a directory', () => {
  it('takes .yaml, .yml and .json, several documents and lists, and leaves all else alone', async () => {
    await using m = new ManifestFixture();
    m.write(
      'a.yaml',
      `${serviceYaml('one', 'clusterIP: 10.96.0.1')}---\n# nothing\n---\n${serviceYaml('two', 'clusterIP: 10.96.0.2')}`,
    );
    m.write('b.yml', serviceYaml('three', 'clusterIP: 10.96.0.3'));
    const spec = { clusterIP: '10.96.0.4', ports: [{ port: 80 }] };
    const four = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'four' }, spec };
    m.write('c.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [four] }, undefined, '\t'));
    const five = { metadata: { name: 'five' }, spec: { ...spec, clusterIP: '10.96.0.5' } };
    m.write('d.json', JSON.stringify({ apiVersion: 'v1', kind: 'ServiceList', items: [five] }));
    for (const name of ['.hidden.yaml', 'notes.txt', 'e.yaml~', 'f.yaml.swp'])
      m.write(name, serviceYaml('no'));
    mkdirSync(join(m.directory, 'folder.yaml'));
    await m.start();
    expect(m.sink.lines).toEqual(
      ['five', 'four', 'one', 'three', 'two'].map((name) => `+Service default/${name}`),
    );
    expect(m.sink.warnings).toEqual([]);
  });

  it('is synced when it is empty', async () => {
    await using m = new ManifestFixture();
    await m.start();
    expect(m.sink.log).toEqual([]);
  });

  it('ignores other kinds with a line for those who look for it', async () => {
    await using m = new ManifestFixture();
    m.write(
      'a.yaml',
      'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: k\n',
    );
    await m.start();
    expect(m.sink.warnings).toEqual([]);
    expect(m.sink.log).toEqual([]);
    expect(m.debug.filter((line) => line.startsWith('ignore'))).toEqual([
      'ignore ConfigMap in a.yaml line 1: has no meaning here',
      'ignore Deployment in a.yaml line 6: has no meaning here',
      'ignore Service in a.yaml line 11: has no meaning here',
    ]);
  });

  it('waits for a directory that is not there yet, and says so', async () => {
    await using m = new ManifestFixture();
    const directory = join(m.directory, 'later');
    const sink = new Recorder();
    const source = new ManifestSource({ directory, debounceMs: 5 });
    source.start(sink);
    await until('the warning', () => sink.warnings.length > 0);
    expect(sink.warnings[0]?.message).toContain(`${directory}'`);
    expect(sink.warnings[0]?.message).toMatch(/\(ENOENT\)\. Create it or correct --manifests$/);
    await sleep(30);
    expect(sink.syncs).toBe(0);
    mkdirSync(directory);
    writeFileSync(join(directory, 'a.yaml'), serviceYaml('a'));
    await until('synced', () => sink.syncs === 1);
    expect(sink.warnings).toHaveLength(1);
    expect(sink.lines).toEqual(['+Service default/a']);
    await source.stop();
  });
});

describe('following changes', () => {
  it('delivers what changed and nothing else', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', serviceYaml('a', 'clusterIP: 10.96.0.1'));
    m.write('b.yaml', serviceYaml('b', 'clusterIP: 10.96.0.2'));
    await m.start();
    m.sink.clear();
    m.write('b.yaml', `# a comment\n${serviceYaml('b', 'clusterIP: 10.96.0.2', 81)}`);
    await until('the change', () => m.sink.log.length > 0);
    m.write('c.yaml', serviceYaml('c', 'clusterIP: 10.96.0.3'));
    await until('the addition', () => m.sink.log.length > 1);
    m.remove('a.yaml');
    await until('the deletion', () => m.sink.log.length > 2);
    expect(m.sink.log.map((c) => `${c.key} ${c.object === undefined}`)).toEqual([
      'default/b false',
      'default/c false',
      'default/a true',
    ]);
  });

  it('sees a file that was renamed into place, also with the same size', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', serviceYaml('a', 'clusterIP: 10.96.0.1'));
    await m.start();
    for (const last of [2, 3, 4]) {
      m.sink.clear();
      m.replace('a.yaml', serviceYaml('a', `clusterIP: 10.96.0.${last}`));
      await until('the change', () => m.sink.log.length > 0);
      expect(m.sink.log).toHaveLength(1);
      expect(m.sink.log[0]?.object).toMatchObject({ clusterIPs: [`10.96.0.${last}`] });
    }
  });

  it('does not take away what is only being replaced in several steps', async () => {
    await using m = new ManifestFixture();
    const text = serviceYaml('a', 'clusterIP: 10.96.0.1');
    m.write('a.yaml', text);
    await m.start({ debounceMs: 60 });
    m.sink.clear();
    m.remove('a.yaml');
    // Long enough for one look at the directory without the file, too short for a second one.
    await until('a look', () => (m.source?.stats.scans ?? 0) >= 2);
    m.write('a.yaml', '');
    await sleep(10);
    m.write('a.yaml', text);
    await m.scans(1);
    await sleep(150);
    expect(m.sink.log).toEqual([]);
  });

  it('believes that a file is empty when it stays so', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', serviceYaml('a'));
    await m.start();
    m.write('a.yaml', '');
    await until('the deletion', () => m.sink.state.size === 0);
  });

  it('follows a directory that was replaced by another one', async () => {
    await using m = new ManifestFixture();
    const directory = join(m.directory, 'live');
    mkdirSync(directory);
    writeFileSync(join(directory, 'a.yaml'), serviceYaml('a'));
    await m.start({ directory });
    mkdirSync(join(m.directory, 'next'));
    writeFileSync(join(m.directory, 'next', 'b.yaml'), serviceYaml('b'));
    renameSync(directory, join(m.directory, 'old'));
    renameSync(join(m.directory, 'next'), directory);
    await until('the new content', () => m.sink.state.has('Service default/b') && m.sink.state.size === 1);
    writeFileSync(join(directory, 'c.yaml'), serviceYaml('c', 'clusterIP: 10.96.0.3'));
    await until('a change in the new directory', () => m.sink.state.size === 2, 3000);
  });

  it('keeps everything while the directory is away', async () => {
    await using m = new ManifestFixture();
    const directory = join(m.directory, 'live');
    mkdirSync(directory);
    writeFileSync(join(directory, 'a.yaml'), serviceYaml('a'));
    await m.start({ directory });
    rmSync(directory, { recursive: true });
    await until('the warning', () => m.sink.warnings.some((w) => w.object === `directory ${directory}`));
    expect(m.sink.state.has('Service default/a')).toBe(true);
    expect(m.sink.warnings.at(-1)?.message).toContain('what was read before stays in force');
  });

  it('finds changes by looking when no events come', async () => {
    await using m = new ManifestFixture();
    const target = join(m.directory, 'elsewhere');
    mkdirSync(target);
    writeFileSync(join(target, 'real'), serviceYaml('a', 'clusterIP: 10.96.0.1'));
    // What a link points to lies outside the watched directory, as on a ConfigMap volume.
    symlinkSync(join(target, 'real'), join(m.directory, 'a.yaml'));
    await m.start({ pollMs: 40 });
    m.sink.clear();
    writeFileSync(join(target, 'real'), serviceYaml('a', 'clusterIP: 10.96.0.1', 8080));
    await until('the change', () => m.sink.log.length === 1);
  });

  it('starts once, and delivers nothing after stop', async () => {
    await using m = new ManifestFixture();
    await m.start();
    expect(() => m.source?.start(m.sink)).toThrow('it runs already');
    await m.source?.stop();
    m.write('a.yaml', serviceYaml('a'));
    await sleep(60);
    expect(m.sink.log).toEqual([]);
  });
});

describe('mistakes', () => {
  it('names file and line of broken syntax and keeps the last good objects', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', serviceYaml('a', 'clusterIP: 10.96.0.1'));
    m.write('b.yaml', serviceYaml('b', 'clusterIP: 10.96.0.2'));
    await m.start();
    m.sink.clear();
    m.write('a.yaml', serviceYaml('a', 'clusterIP: 10.96.0.1').replace('  ports:', '  ports: ['));
    await until('the warning', () => m.sink.warnings.length > 0);
    m.write('b.yaml', serviceYaml('b', 'clusterIP: 10.96.0.2', 81));
    await until('the other file', () => m.sink.log.length > 0);
    expect(m.sink.lines).toEqual(['+Service default/b']);
    expect(m.sink.state.size).toBe(2);
    expect(m.sink.warnings).toHaveLength(1);
    expect(m.sink.warnings[0]).toMatchObject({
      object: 'file a.yaml',
      field: expect.stringMatching(/^line (9|10)$/),
    });
    expect(m.sink.warnings[0]?.message).toContain('what the file held before stays in force');
  });

  it('takes the sound documents of a file that was never good', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', `${serviceYaml('a')}---\nkind: Service\n  metadata: [\n`);
    await m.start();
    expect(m.sink.lines).toEqual(['+Service default/a']);
    expect(m.sink.warnings[0]).toMatchObject({
      object: 'file a.yaml',
      field: expect.stringMatching(/^line 1[1-4]$/),
    });
  });

  it('names object, field and line of a wrong value and keeps its last good version', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', serviceYaml('a', 'clusterIP: 10.96.0.1'));
    await m.start();
    m.sink.clear();
    m.write(
      'a.yaml',
      `${serviceYaml('a', 'clusterIP: 10.96.0.1', 70_000)}---\n${serviceYaml('b', 'clusterIP: 10.96.0.2')}`,
    );
    await until('the other object', () => m.sink.state.has('Service default/b'));
    expect(m.sink.lines).toEqual(['+Service default/b']);
    expect(m.sink.warnings).toEqual([
      {
        object: 'Service default/a',
        field: 'spec.ports[0].port',
        message: 'is 70000; use a number from 1 to 65535 (a.yaml line 10)',
      },
    ]);
    expect(m.sink.state.get('Service default/a')).toMatchObject({ ports: [{ port: 80 }] });
  });

  it('counts lines inside a List', async () => {
    await using m = new ManifestFixture();
    m.write(
      'a.yaml',
      'apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: Service\n    metadata:\n      name: a\n    spec:\n      type: Nonsense\n',
    );
    await m.start();
    expect(m.sink.warnings[0]?.message).toBe(
      'is "Nonsense"; use one of ClusterIP, NodePort, LoadBalancer, ExternalName (a.yaml line 9)',
    );
  });

  it('reports the same key twice in one mapping', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', 'apiVersion: v1\nkind: Service\nkind: Pod\n');
    await m.start();
    expect(m.sink.warnings[0]).toMatchObject({ object: 'file a.yaml', field: 'line 3' });
  });

  it('reports a document that is no object', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', 'hello\n---\nmetadata:\n  name: x\n');
    await m.start();
    expect(m.sink.warnings.map((w) => `${w.field} ${w.message}`)).toEqual([
      'line 1 this is no Kubernetes object; write apiVersion, kind and metadata',
      'line 3 kind is missing or no text; write it at the top of the object',
    ]);
  });

  it('reports an object that two files have, and goes on with the first', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', serviceYaml('a', 'clusterIP: 10.96.0.1'));
    m.write('b.yaml', serviceYaml('a', 'clusterIP: 10.96.0.2'));
    await m.start();
    expect(m.sink.state.get('Service default/a')).toMatchObject({ clusterIPs: ['10.96.0.1'] });
    expect(m.sink.warnings).toEqual([
      {
        object: 'Service default/a',
        field: '',
        message: 'is in a.yaml line 1 and again in b.yaml line 1; the first one counts, remove the other',
      },
    ]);
    m.remove('a.yaml');
    await until('the second one takes its place', () => m.sink.log.length === 2);
    expect(m.sink.state.get('Service default/a')).toMatchObject({ clusterIPs: ['10.96.0.2'] });
  });

  it('tells a mistake once, and again when it comes back', async () => {
    await using m = new ManifestFixture();
    m.write('a.yaml', 'x: [\n');
    await m.start();
    m.write('b.yaml', serviceYaml('b'));
    await until('the other file', () => m.sink.log.length > 0);
    expect(m.sink.warnings).toHaveLength(1);
    m.write('a.yaml', '# fine\n');
    await m.scans(1);
    m.write('a.yaml', 'x: [\n');
    await until('the second time', () => m.sink.warnings.length === 2);
  });

  it('survives a bomb of aliases', async () => {
    await using m = new ManifestFixture();
    const lines = Array.from(
      { length: 12 },
      (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}*l${i}]`,
    );
    m.write('a.yaml', `l0: &l0 [x]\n${lines.join('\n')}\n`);
    m.write('b.yaml', serviceYaml('b'));
    await m.start();
    expect(m.sink.warnings[0]).toMatchObject({ object: 'file a.yaml' });
    expect(m.sink.lines).toEqual(['+Service default/b']);
  });
});
