import { collectFacts } from '../doctor/collect.js';
import type { ApiFacts, Facts, Intent } from '../doctor/facts.js';
import { diagnose, type Report } from '../doctor/index.js';
import { ApiClient } from '../kube/api-client.js';
import { HttpStatusError } from '../kube/errors.js';
import { loadKubeConfig } from '../kube/kube-config.js';

export interface DoctorOptions {
  intent: Intent;
  kubeconfig: string | undefined;
  context: string | undefined;
}

const IDLE_MS = 5000;
/** A watch is open as soon as its headers are there; the server ends it after a second. */
const QUESTIONS: [what: string, path: string][] = [
  ['services', '/api/v1/services'],
  ['nodes', '/api/v1/nodes'],
  ['endpointslices', '/apis/discovery.k8s.io/v1/endpointslices'],
  ['servicecidrs', '/apis/networking.k8s.io/v1/servicecidrs'],
];

/** Looks at this machine and at the API server. */
export async function examine(options: DoctorOptions): Promise<Report> {
  const inPod = Boolean(process.env.KUBERNETES_SERVICE_HOST);
  const api = options.kubeconfig === undefined && !inPod ? undefined : await askApi(options);
  return diagnose(await collectFacts(options.intent, api));
}

async function askApi({ kubeconfig, context }: DoctorOptions): Promise<Facts['api']> {
  try {
    const config = loadKubeConfig(kubeconfig);
    if (context !== undefined) config.setCurrentContext(context);
    const client = new ApiClient(config);
    const answers: ApiFacts['answers'] = {};
    for (const [what, path] of QUESTIONS) {
      answers[`list ${what}`] = await ask(client, `${path}?limit=1`);
      answers[`watch ${what}`] = await ask(client, `${path}?watch=1&timeoutSeconds=1`);
      // Nobody there: the others would only wait as long.
      if ('error' in (answers[`list ${what}`] ?? {})) break;
    }
    return { server: client.server, answers, throughService: await isServiceAddress(client) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

async function ask(
  client: ApiClient,
  path: string,
): Promise<{ status: number; detail: string } | { error: string }> {
  const abort = new AbortController();
  try {
    await client.get({ path, signal: abort.signal, idleMs: IDLE_MS });
    return { status: 200, detail: '' };
  } catch (error) {
    if (error instanceof HttpStatusError) return { status: error.status, detail: error.detail };
    return { error: (error as Error).message || String(error) };
  } finally {
    abort.abort();
  }
}

async function isServiceAddress(client: ApiClient): Promise<boolean> {
  const host = new URL(client.server).hostname.replace(/^\[|\]$/g, '');
  const path = '/api/v1/namespaces/default/services/kubernetes';
  try {
    const service = (await client.getJson({
      path,
      signal: AbortSignal.timeout(IDLE_MS),
      idleMs: IDLE_MS,
    })) as {
      spec?: { clusterIPs?: string[]; clusterIP?: string };
    };
    return [...(service.spec?.clusterIPs ?? []), service.spec?.clusterIP].includes(host);
  } catch {
    return false;
  }
}
