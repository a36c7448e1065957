import { createHash } from 'node:crypto';
import {
  ApiException,
  EventsV1Api,
  type EventsV1Event,
  type KubeConfig,
  PatchStrategy,
  setHeaderOptions,
  V1MicroTime,
} from '@kubernetes/client-node';
import { LRUCache } from 'lru-cache';
import type { Change, Warning } from '../model/index.js';
import { completeConfig } from './complete-config.js';

export interface EventRecorderOptions {
  kubeConfig: KubeConfig;
  nodeName: string;
  log: { warn(message: string): void };
  /** Default: Date.now. */
  nowMs?: () => number;
  /** Of one request. Default 10,000. */
  timeoutMs?: number;
}

const CONTROLLER = 'shunt.dev/agent';
const API_VERSIONS: Record<string, string> = {
  Service: 'v1',
  Node: 'v1',
  Endpoints: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
};
/** "Service default/web", "Node node1"; anything else (a file) is no object of the API server. */
const OBJECT = /^([A-Z][A-Za-z]+) (?:([a-z0-9.-]+)\/)?([a-z0-9.-]+)$/;
/** As the API server has it. */
const NOTE_MAX = 1024;
const WAITING_MAX = 100;
const REMEMBERED = 1000;
const PAUSE_MS = 10 * 60_000;
const TIMEOUT_MS = 10_000;

/**
 * Tells the author of an object, by an Event (events.k8s.io/v1) about it, what the agent warns of. Best effort: one
 * request at a time, a short queue, and a pause when the API server does not take them. A warning that is said again
 * becomes a series of the same Event.
 */
export class EventRecorder {
  readonly #o: EventRecorderOptions;
  readonly #api: EventsV1Api;
  readonly #uids = new Map<string, string>();
  readonly #counts = new LRUCache<string, number>({ max: REMEMBERED });
  readonly #waiting: Warning[] = [];
  #running: Promise<void> | undefined;
  #pausedUntilMs = 0;
  readonly #abort = new AbortController();
  readonly #timeoutMs: number;

  constructor(options: EventRecorderOptions) {
    this.#o = options;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#api = completeConfig(options.kubeConfig).makeApiClient(EventsV1Api);
  }

  /** UIDs, by which `kubectl describe` finds the Events of an object. */
  learn(changes: readonly Change[]): void {
    for (const { kind, key, object } of changes) {
      if (kind !== 'Service') continue;
      if (object?.uid === undefined) this.#uids.delete(`${kind} ${key}`);
      else this.#uids.set(`${kind} ${key}`, object.uid);
    }
  }

  /** Returns at once. Warnings about no object of the API server, and those beyond the queue, are left out. */
  record(warning: Warning): void {
    if (this.#isStopped || this.#waiting.length >= WAITING_MAX || this.#now() < this.#pausedUntilMs) return;
    const kind = OBJECT.exec(warning.object)?.[1];
    if (kind === undefined || !(kind in API_VERSIONS)) return;
    this.#waiting.push(warning);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Breaks off the request under way. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  get #isStopped(): boolean {
    return this.#abort.signal.aborted;
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting.shift(); next && !this.#isStopped; next = this.#waiting.shift()) {
      try {
        await this.#send(next);
      } catch (error) {
        const code = error instanceof ApiException ? error.code : undefined;
        // Its namespace is being deleted, or gone.
        if (code === 404) continue;
        if (this.#isStopped) return;
        this.#waiting.length = 0;
        this.#pausedUntilMs = this.#now() + PAUSE_MS;
        const cause = code === undefined ? (error as Error).message : `the API server answers ${code}`;
        const next = code === 403 ? '. allow create and patch on events.k8s.io events' : '';
        this.#o.log.warn(`write Events: ${cause}${next}. trying again in ten minutes`);
      }
    }
  }

  async #send(warning: Warning): Promise<void> {
    const event = this.#eventOf(warning);
    const { name = '', namespace = '' } = event.metadata ?? {};
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    if (count === 1) {
      try {
        await this.#api.createNamespacedEvent({ namespace, body: event }, this.#options('application/json'));
        return;
      } catch (error) {
        // An earlier agent of this node has said it.
        if (!(error instanceof ApiException) || error.code !== 409) throw error;
        this.#counts.set(name, 2);
      }
    }
    try {
      const series = { count: Math.max(2, count), lastObservedTime: new V1MicroTime(this.#now()) };
      await this.#api.patchNamespacedEvent(
        { name, namespace, body: { series } },
        this.#options(PatchStrategy.MergePatch),
      );
    } catch (error) {
      if (!(error instanceof ApiException) || error.code !== 404) throw error;
      // The API server keeps Events for an hour.
      this.#counts.set(name, 1);
      await this.#api.createNamespacedEvent({ namespace, body: event }, this.#options('application/json'));
    }
  }

  /** The library has no time limit of its own: a server that is silent would hold the agent up at its end. */
  #options(contentType: string): ReturnType<typeof setHeaderOptions> {
    const options = setHeaderOptions('Content-Type', contentType);
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(this.#timeoutMs)]);
    for (const step of options.middleware ?? []) {
      const { pre } = step;
      step.pre = (request) => {
        request.setSignal(signal);
        return pre(request);
      };
    }
    return options;
  }

  #eventOf({ object, field, message }: Warning): EventsV1Event {
    const [, kind = '', namespace, name = ''] = OBJECT.exec(object) ?? [];
    const { nodeName } = this.#o;
    const id = createHash('sha256').update([object, field, message, nodeName].join('\0')).digest('hex');
    const uid = this.#uids.get(object);
    const note = field === '' ? message : `${field}: ${message}`;
    return {
      metadata: { name: `${name}.${id.slice(0, 16)}`, namespace: namespace ?? 'default' },
      eventTime: new V1MicroTime(this.#now()),
      type: 'Warning',
      reason: 'NotServedAsWritten',
      action: 'Serve',
      note: note.length > NOTE_MAX ? `${note.slice(0, NOTE_MAX - 1)}…` : note,
      regarding: {
        ...{ kind, name, apiVersion: API_VERSIONS[kind] ?? 'v1' },
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
      },
      reportingController: CONTROLLER,
      reportingInstance: nodeName,
    };
  }

  #now(): number {
    return this.#o.nowMs?.() ?? Date.now();
  }
}
