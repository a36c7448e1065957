import type { KubeConfig } from '@kubernetes/client-node';
import type { Change } from '../model/objects.js';
import { ApiClient, type RequestSample } from './api-client.js';
import { type Conversion, convert, renderWarning } from './convert.js';
import { describeError, describeUnavailable, type HttpStatusError, type RequestSubject } from './errors.js';
import type { Problem } from './fields.js';
import { LABEL_HEADLESS } from './metadata.js';
import { Reflector } from './reflector.js';
import { defaultTimings, type ReflectorStats, type ReflectorTimings } from './reflector-options.js';
import { type Source, type SourceLog, type SourceSink, silentLog } from './source.js';
import { WarningGate, type WarningGateOptions } from './warning-gate.js';

export interface ApiSourceOptions {
  kubeConfig: KubeConfig;
  /** Also taken by tests, to wait less. */
  timings?: Partial<ReflectorTimings>;
  warnings?: Partial<WarningGateOptions>;
  log?: SourceLog;
  /** Hears of every request. */
  observe?: (sample: RequestSample) => void;
}

export type ApiResource = 'services' | 'endpointslices' | 'nodes' | 'servicecidrs';

/** Keys of warnings about a single object begin so. */
const OBJECT_WARNING = 'object ';

/** Services, EndpointSlices, Nodes and, where there are any, ServiceCIDRs of the whole cluster, by list and watch. */
export class ApiSource implements Source {
  readonly #client: ApiClient;
  readonly #timings: ReflectorTimings;
  readonly #log: SourceLog;
  readonly #gate: WarningGate;
  readonly #reflectors: Record<ApiResource, Reflector<object>>;
  #sink: SourceSink | undefined;
  /** Requests for optional resources that were refused -> what was said. */
  readonly #unavailable = new Map<string, string>();
  #waiting = 0;
  #runs: Promise<void>[] = [];

  constructor(options: ApiSourceOptions) {
    this.#client = new ApiClient(options.kubeConfig, options.observe);
    this.#timings = { ...defaultTimings, ...options.timings };
    this.#log = options.log ?? silentLog;
    this.#gate = new WarningGate({ repeatMs: 300_000, minimumMs: 30_000, ...options.warnings }, (warning) =>
      this.#sink?.warning(warning),
    );
    this.#reflectors = {
      services: this.#reflect('Service', 'services', '', '/api/v1/services', convert.Service),
      endpointslices: this.#reflect(
        'EndpointSlice',
        'endpointslices',
        'discovery.k8s.io',
        '/apis/discovery.k8s.io/v1/endpointslices',
        convert.EndpointSlice,
        // Headless Services have no data path; a large StatefulSet would only cost memory.
        `!${LABEL_HEADLESS}`,
      ),
      nodes: this.#reflect('Node', 'nodes', '', '/api/v1/nodes', convert.Node),
      servicecidrs: this.#reflect(
        'ServiceCIDR',
        'servicecidrs',
        'networking.k8s.io',
        '/apis/networking.k8s.io/v1/servicecidrs',
        convert.ServiceCIDR,
        undefined,
        true,
      ),
    };
  }

  /** The server in use, for messages. */
  get server(): string {
    return this.#client.server;
  }

  /** Counters by resource; live objects, not copies. */
  get stats(): Readonly<Record<ApiResource, Readonly<ReflectorStats>>> {
    const { services, endpointslices, nodes, servicecidrs } = this.#reflectors;
    return {
      services: services.stats,
      endpointslices: endpointslices.stats,
      nodes: nodes.stats,
      servicecidrs: servicecidrs.stats,
    };
  }

  start(sink: SourceSink): void {
    if (this.#sink !== undefined) throw new Error('start source: it runs already (EALREADY). Make a new one');
    this.#sink = sink;
    const all = Object.values(this.#reflectors);
    this.#waiting = all.length;
    this.#runs = all.map((reflector) => reflector.run());
  }

  async stop(): Promise<void> {
    for (const reflector of Object.values(this.#reflectors)) reflector.stop();
    await Promise.all(this.#runs);
  }

  #reflect<T extends object>(
    kind: Change['kind'],
    plural: ApiResource,
    apiGroup: string,
    path: string,
    converter: (raw: unknown) => Conversion<T>,
    labelSelector?: string,
    isOptional = false,
  ): Reflector<object> {
    let settled = false;
    const settle = () => {
      if (settled) return;
      settled = true;
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#sink?.synced();
    };
    return new Reflector<object>({
      client: this.#client,
      path,
      kind,
      plural,
      apiGroup,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      convert: converter,
      timings: this.#timings,
      onChanges: (changes) =>
        this.#sink?.changes(changes.map(({ key, object }) => ({ kind, key, object }) as Change)),
      onProblem: (...problem) => this.#warnAboutObject(...problem),
      onListed: () => {
        this.#log.debug(`listed ${plural}`);
        settle();
      },
      ...(isOptional && {
        onUnavailable: (error: HttpStatusError, subject: RequestSubject) => {
          this.#tellUnavailable(error, subject);
          settle();
        },
      }),
      onError: (error, subject) => this.#warnAboutRequest(error, subject),
      onHealthy: (subject) => this.#recover(subject),
    });
  }

  #warnAboutObject(kind: string, key: string | undefined, problem: Problem): void {
    const warning = renderWarning(kind, key, problem);
    this.#gate.warn(`${OBJECT_WARNING}${warning.object} ${warning.field} ${warning.message}`, warning);
  }

  #warnAboutRequest(error: unknown, subject: RequestSubject): void {
    const { key, object, message } = describeError(error, subject);
    this.#log.debug(message);
    this.#gate.warn(key, { object, field: '', message });
  }

  /** Once for each cause, until it ends. */
  #tellUnavailable(error: HttpStatusError, subject: RequestSubject): void {
    const key = `${subject.verb} ${subject.resource}`;
    const message = describeUnavailable(error, subject);
    if (this.#unavailable.get(key) === message) return;
    this.#unavailable.set(key, message);
    this.#log.info(message);
  }

  /** An accepted request ends the troubles of its own and those of the connection as such. */
  #recover(subject: RequestSubject): void {
    const own = `${subject.verb} ${subject.resource}`;
    if (this.#unavailable.delete(own)) this.#log.info(`${own}: available now`);
    const shared = /^(connect|tls|status 401)/;
    if (this.#gate.recovered((key) => shared.test(key) || key.endsWith(own) || key.startsWith(`${own} `))) {
      this.#log.info(`API server ${subject.server} answers ${own} again`);
    }
  }
}
