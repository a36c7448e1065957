import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiSource, type ApiSourceOptions } from '../../../src/kube/api-source.js';
import { loadKubeConfig } from '../../../src/kube/kube-config.js';
import type { ReflectorTimings } from '../../../src/kube/reflector-options.js';
import { type KubeconfigOptions, TestApiServer } from '../../support/api-server/index.js';
import type { TestApiServerOptions } from '../../support/api-server/options.js';
import { Recorder, until } from './recorder.js';

/** Short enough for tests; every wait is still real. */
export const quick: Partial<ReflectorTimings> = {
  idleMs: 5_000,
  listIdleMs: 2_000,
  stableMs: 50,
  backoff: { baseMs: 10, capMs: 80 },
};

export interface ApiFixture extends AsyncDisposable {
  server: TestApiServer;
  source: ApiSource;
  sink: Recorder;
}

/** A running server and a source that is not started yet. */
export async function openApi(
  o: {
    server?: TestApiServerOptions;
    source?: Partial<ApiSourceOptions>;
    kubeconfig?: Partial<KubeconfigOptions>;
  } = {},
): Promise<ApiFixture> {
  const directory = mkdtempSync(join(tmpdir(), 'shunt-api-'));
  const server = await TestApiServer.start(o.server);
  const file = join(directory, 'kubeconfig');
  server.writeKubeconfig(file, o.kubeconfig);
  const source = new ApiSource({ kubeConfig: loadKubeConfig(file), timings: quick, ...o.source });
  const sink = new Recorder();
  return {
    server,
    source,
    sink,
    async [Symbol.asyncDispose]() {
      await source.stop();
      await server.close();
      rmSync(directory, { recursive: true });
    },
  };
}

/** The same, started, synced and with all watches open. */
export async function openSynced(
  o: Parameters<typeof openApi>[0] = {},
  prepare: (server: TestApiServer) => void = () => {},
): Promise<ApiFixture> {
  const fixture = await openApi(o);
  prepare(fixture.server);
  fixture.source.start(fixture.sink);
  await until('synced', () => fixture.sink.syncs === 1);
  await until('four watches', () => fixture.server.openWatches === 4);
  return fixture;
}
