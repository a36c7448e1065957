import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventRecorder } from '../../../src/kube/event-recorder.js';
import { loadKubeConfig } from '../../../src/kube/kube-config.js';
import type { Change } from '../../../src/model/index.js';
import { TestApiServer } from '../../support/api-server/index.js';
import type { KubeObject } from '../../support/api-server/resources.js';
import { until } from './recorder.js';

const WARNING = { object: 'Service shop/web', field: 'spec.externalIPs[0]', message: 'is not allowed' };

describe('Events about objects that are not served as written', () => {
  let directory: string;
  let server: TestApiServer;
  let warnings: string[];
  let nowMs: number;
  let recorder: EventRecorder;

  const make = (o: { timeoutMs?: number } = {}) =>
    new EventRecorder({
      ...o,
      kubeConfig: loadKubeConfig(join(directory, 'kubeconfig')),
      nodeName: 'node1',
      log: { warn: (message) => warnings.push(message) },
      nowMs: () => nowMs,
    });
  const answers = (method: string) =>
    server.requests.filter((r) => r.method === method && r.path.includes('events')).map((r) => r.status);
  const written = async (): Promise<KubeObject[]> => {
    const response = await fetch(`${server.url}/apis/events.k8s.io/v1/events`);
    return ((await response.json()) as { items: KubeObject[] }).items;
  };

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'shunt-events-'));
    server = await TestApiServer.start();
    server.writeKubeconfig(join(directory, 'kubeconfig'));
    warnings = [];
    nowMs = Date.UTC(2026, 10, 21, 7, 0, 0);
    recorder = make();
  });
  afterEach(async () => {
    await recorder.stop();
    await server.close();
    rmSync(directory, { recursive: true });
  });

  it('name the object with its UID, the field and what to do', async () => {
    recorder.learn([{ kind: 'Service', key: 'shop/web', object: { uid: 'abc' } } as unknown as Change]);
    recorder.record(WARNING);
    await until('an Event', () => answers('POST').includes(201));
    expect(await written()).toMatchObject([
      {
        metadata: { namespace: 'shop', name: expect.stringMatching(/^web\.[0-9a-f]{16}$/) },
        eventTime: '2026-11-21T07:00:00.000000Z',
        type: 'Warning',
        reason: 'NotServedAsWritten',
        note: 'spec.externalIPs[0]: is not allowed',
        regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'abc' },
        reportingController: 'shunt.dev/agent',
        reportingInstance: 'node1',
      },
    ]);
  });

  it('become a series when the same is said again, by the next agent too, and are made anew when forgotten', async () => {
    recorder.record(WARNING);
    recorder.record(WARNING);
    await until('a patch', () => answers('PATCH').includes(200));
    expect(await written()).toMatchObject([{ series: { count: 2 } }]);
    await recorder.stop();
    recorder = make();
    recorder.record(WARNING);
    await until('another patch', () => answers('PATCH').length === 2);
    expect(answers('POST')).toEqual([201, 409]);
    const [event] = await written();
    server.delete('Event', event?.metadata.name ?? '', 'shop');
    recorder.record(WARNING);
    await until('a new one', () => answers('POST').length === 3);
    expect(await written()).toHaveLength(1);
  });

  it('go to the namespace default for a Node; a file is no object', async () => {
    recorder.record({ object: 'file 01-web.yaml', field: '', message: 'is no YAML' });
    recorder.record({ object: 'Node node1', field: '', message: 'has no address' });
    await until('an Event', () => answers('POST').length > 0);
    expect(await written()).toMatchObject([
      {
        metadata: { namespace: 'default' },
        regarding: { kind: 'Node', name: 'node1' },
        note: 'has no address',
      },
    ]);
  });

  it('are given up for ten minutes when they are forbidden, which is said once with the way out', async () => {
    server.forbid('create', 'events');
    recorder.record(WARNING);
    recorder.record({ ...WARNING, field: 'spec.type' });
    await until('a refusal', () => warnings.length > 0);
    recorder.record({ ...WARNING, field: 'spec.ports' });
    expect(warnings).toEqual([
      'write Events: the API server answers 403. allow create and patch on events.k8s.io events. trying again in ten minutes',
    ]);
    expect(answers('POST')).toEqual([403]);
    server.allow('create', 'events');
    nowMs += 10 * 60_000;
    recorder.record({ ...WARNING, field: 'spec.ports' });
    await until('an Event', () => answers('POST').includes(201));
  });

  it('do not wait for an API server that is silent, nor does the end of the agent', async () => {
    server.pause();
    recorder.record(WARNING);
    await until('a request', () => server.requests.some((r) => r.method === 'POST'));
    await recorder.stop();
    expect(warnings).toEqual([]);
    recorder = make({ timeoutMs: 50 });
    recorder.record(WARNING);
    await until('a warning', () => warnings.length === 1);
    expect(warnings[0]).toMatch(/^write Events: .*abort.*trying again in ten minutes$/);
    server.resume();
  });

  it('leave out what the API server would refuse: long notes are cut, a namespace that is gone is passed over', async () => {
    recorder.record({ ...WARNING, field: '', message: 'x'.repeat(3000) });
    await until('an Event', () => answers('POST').includes(201));
    const [event] = await written();
    expect(String(event?.note)).toHaveLength(1024);
    server.failNext(1, 404);
    recorder.record({ ...WARNING, field: 'spec.a' });
    recorder.record({ ...WARNING, field: 'spec.b' });
    await until('the next one', () => answers('POST').length === 3);
    expect(answers('POST')).toEqual([201, 404, 201]);
    expect(warnings).toEqual([]);
  });
});
