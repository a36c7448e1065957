import type { Address, Cidr } from './addresses.js';
import { parseCidrs } from './cidrSet.js';
import { computeClusterRanges, ServiceCidrs } from './clusterRanges.js';
import { computeService } from './compute.js';
import type { Algorithm, ClusterRanges, DesiredDelta, DesiredService, HealthCheck } from './desired.js';
import { compareText } from './endpoints.js';
import { refuseExternalIp } from './frontends.js';
import { Nodes, readAddressList } from './nodes.js';
import type { Change, Warning } from './objects.js';
import { Registry } from './registry.js';
import { isSame } from './same.js';
import { LABEL_ZONE } from './topology.js';

export interface ModelOptions {
  /** This node, as endpoints name it. */
  nodeName: string;
  /** Serve what kube-proxy would (and what names us), instead of only what names us. */
  serveAll: boolean;
  /** Value of label service.kubernetes.io/service-proxy-name that means us; default 'shunt'. */
  proxyName?: string | undefined;
  /** For Services without annotation shunt.dev/algorithm; default 'random'. */
  defaultAlgorithm?: Algorithm | undefined;
  /** Where NodePorts are expected; others are served and reported. Absent: anywhere. */
  nodePortRange?: { min: number; max: number } | undefined;
  /** CIDRs that spec.externalIPs may lie in. Absent: every address outside of the cluster. Empty: none. */
  externalIpCidrs?: readonly string[] | undefined;
  /** Cluster IP ranges and pod ranges where known. Those of ServiceCIDRs and of Nodes come in addition. */
  serviceCidrs?: readonly string[] | undefined;
  podCidrs?: readonly string[] | undefined;
  /** Addresses of this node besides its Node's InternalIPs; see `setNodeAddresses`. */
  nodeAddresses?: readonly string[] | undefined;
  /** loadBalancerSourceRanges guard NodePorts too. */
  sourceRangesOnNodePorts?: boolean | undefined;
}

export interface ModelStats {
  /** Changes handed to `apply`. */
  events: number;
  /** Times that one Service was worked out anew. */
  servicesRecomputed: number;
  /** Times that an event concerned all Services. */
  fullRecomputes: number;
  /** Service ports written to deltas, and removed by them. */
  upserts: number;
  removals: number;
}

interface Outcome {
  services: Map<string, DesiredService>;
  healthCheck: HealthCheck | undefined;
  warnings: Map<string, Warning>;
}

const CONFIGURATION = 'configuration';

/**
 * Services, EndpointSlices and Nodes in, what changes for this node out. An event costs as much as the Services it
 * touches; only a change of this node's zone touches all of them. Objects handed in must not be modified
 * afterwards. The order and the grouping of changes have no influence on the state they lead to.
 */
export class Model {
  readonly stats: ModelStats = {
    events: 0,
    servicesRecomputed: 0,
    fullRecomputes: 0,
    upserts: 0,
    removals: 0,
  };
  readonly #nodeName: string;
  readonly #sourceRangesOnNodePorts: boolean;
  readonly #allowedExternalIps: readonly Cidr[] | undefined;
  readonly #nodes = new Nodes();
  readonly #registry: Registry;
  readonly #outcomes = new Map<string, Outcome>();
  readonly #dirty = new Set<string>();
  readonly #configWarnings: Warning[] = [];
  #unreportedConfigWarnings = 0;
  readonly #serviceCidrs = new ServiceCidrs();
  readonly #serveAll: boolean;
  /** What the deltas so far said, and from which foreign IPs it was made. */
  #clusterRanges: ClusterRanges = { service: [], foreign: [] };
  #rangesStale = true;
  #foreignVersion = 0;
  #podCidrs: readonly Cidr[];
  #givenAddresses: readonly Address[];
  #nodeAddresses: readonly Address[];

  constructor(options: ModelOptions) {
    this.#nodeName = options.nodeName;
    this.#sourceRangesOnNodePorts = options.sourceRangesOnNodePorts ?? false;
    const { externalIpCidrs } = options;
    this.#allowedExternalIps = externalIpCidrs && this.#readOption(externalIpCidrs, 'externalIpCidrs');
    this.#serveAll = options.serveAll;
    this.#serviceCidrs.configure(this.#readOption(options.serviceCidrs ?? [], 'serviceCidrs'));
    this.#podCidrs = this.#readOption(options.podCidrs ?? [], 'podCidrs');
    this.#givenAddresses = readAddressList(options.nodeAddresses ?? []);
    this.#nodeAddresses = this.#givenAddresses;
    const rules = {
      serveAll: options.serveAll,
      proxyName: options.proxyName ?? 'shunt',
      defaultAlgorithm: options.defaultAlgorithm ?? 'random',
      ...(options.nodePortRange && { nodePortRange: options.nodePortRange }),
    };
    this.#registry = new Registry(rules, this.#dirty, new Set());
  }

  /** Takes changes in together: what they add up to is worked out once. */
  apply(changes: readonly Change[]): DesiredDelta {
    for (const change of changes) {
      this.stats.events += 1;
      if (change.kind === 'Service') this.#registry.setService(change.key, change.object);
      else if (change.kind === 'EndpointSlice') this.#registry.setSlice(change.key, change.object);
      else if (change.kind === 'Node') this.#setNode(change.key, change.object);
      else this.#setServiceCidr(change.key, change.object);
    }
    return this.#settle();
  }

  /** Addresses of this node as its interfaces have them, for source ranges; unreadable ones are left out. */
  setNodeAddresses(addresses: readonly string[]): DesiredDelta {
    this.#givenAddresses = readAddressList(addresses);
    this.#refreshNodeAddresses();
    return this.#settle();
  }

  /** Ranges of the cluster that became known; those not given stay. Entries that are no CIDR are reported. */
  setClusterRanges(ranges: {
    serviceCidrs?: readonly string[] | undefined;
    podCidrs?: readonly string[] | undefined;
  }): DesiredDelta {
    if (ranges.serviceCidrs) {
      this.#serviceCidrs.configure(this.#readOption(ranges.serviceCidrs, 'serviceCidrs'));
      this.#rangesStale = true;
    }
    if (ranges.podCidrs) this.#podCidrs = this.#readOption(ranges.podCidrs, 'podCidrs');
    this.#registry.unsettleExternalIps(() => true);
    return this.#settle();
  }

  /** Everything that the deltas so far add up to, by id. */
  desired(): DesiredService[] {
    const all = [...this.#outcomes.values()].flatMap(({ services }) => [...services.values()]);
    return all.sort(byId);
  }

  /** What the deltas so far said of ranges. */
  get clusterRanges(): ClusterRanges {
    return this.#clusterRanges;
  }

  /** By namespace and name. */
  healthChecks(): HealthCheck[] {
    const checks = [...this.#outcomes.values()].flatMap(({ healthCheck }) => healthCheck ?? []);
    return checks.sort((a, b) => compareText(serviceKey(a), serviceKey(b)));
  }

  /** The warnings that stand. */
  warnings(): Warning[] {
    const standing = [...this.#outcomes.values()].flatMap(({ warnings }) => [...warnings.values()]);
    return [...this.#configWarnings, ...this.#serviceCidrs.warnings, ...standing].sort((a, b) =>
      compareText(warningId(a), warningId(b)),
    );
  }

  #readOption(texts: readonly string[], field: string): Cidr[] {
    const stale = this.#configWarnings.filter((warning) => warning.field.startsWith(`${field}[`));
    for (const warning of stale) this.#configWarnings.splice(this.#configWarnings.indexOf(warning), 1);
    const { cidrs, warnings } = parseCidrs(texts, CONFIGURATION, field);
    this.#configWarnings.push(...warnings);
    this.#unreportedConfigWarnings += warnings.length;
    return cidrs;
  }

  #setNode(name: string, object: Extract<Change, { kind: 'Node' }>['object']): void {
    const effect = this.#nodes.set(name, object);
    const isThisNode = name === this.#nodeName;
    if (effect.podCidrs.length > 0) this.#registry.unsettleExternalIpsIn(effect.podCidrs);
    if (isThisNode && effect.addresses) this.#refreshNodeAddresses();
    if (isThisNode && effect.labels.includes(LABEL_ZONE)) {
      this.stats.fullRecomputes += 1;
      for (const [key, { shape }] of this.#registry.services) if (shape.served) this.#dirty.add(key);
      return;
    }
    if (isThisNode) {
      for (const label of effect.labels) {
        for (const service of this.#registry.servicesByTopologyKey(label)) this.#dirty.add(service);
      }
      return;
    }
    for (const service of this.#registry.servicesOnNode(name, effect.labels)) this.#dirty.add(service);
  }

  #setServiceCidr(name: string, object: Extract<Change, { kind: 'ServiceCIDR' }>['object']): void {
    this.#serviceCidrs.set(name, object);
    this.#rangesStale = true;
    this.#registry.unsettleExternalIps(() => true);
  }

  #settleRanges(delta: DesiredDelta): void {
    if (!this.#rangesStale && this.#foreignVersion === this.#registry.foreignVersion) return;
    this.#rangesStale = false;
    this.#foreignVersion = this.#registry.foreignVersion;
    const { all } = this.#serviceCidrs;
    const now = computeClusterRanges(this.#serveAll, all, this.#registry.foreignIps);
    if (isSame(now, this.#clusterRanges)) return;
    this.#clusterRanges = now;
    delta.clusterRanges = now;
  }

  #refreshNodeAddresses(): void {
    this.#nodeAddresses = [...this.#givenAddresses, ...this.#nodes.addressesOf(this.#nodeName)];
    for (const service of this.#registry.ranged) this.#dirty.add(service);
  }

  #settle(): DesiredDelta {
    const externalIps = {
      allowed: this.#allowedExternalIps,
      serviceCidrs: this.#serviceCidrs.all,
      podCidrs: this.#podCidrs,
      nodePodCidrs: this.#nodes.podCidrs,
      isClusterIp: this.#registry.isClusterIp,
    };
    this.#registry.settleClaims((address) => refuseExternalIp(externalIps, address));
    const delta: DesiredDelta = { upserts: [], removals: [], warnings: [] };
    if (this.#unreportedConfigWarnings > 0) {
      delta.warnings.push(...this.#configWarnings.slice(-this.#unreportedConfigWarnings));
    }
    this.#unreportedConfigWarnings = 0;
    delta.warnings.push(...this.#serviceCidrs.takeFreshWarnings());
    for (const key of this.#dirty) this.#replaceOutcome(key, delta);
    this.#dirty.clear();
    this.#settleRanges(delta);
    delta.upserts.sort(byId);
    delta.removals.sort(compareText);
    this.stats.upserts += delta.upserts.length;
    this.stats.removals += delta.removals.length;
    return delta;
  }

  #replaceOutcome(key: string, delta: DesiredDelta): void {
    const old = this.#outcomes.get(key);
    let now: Outcome | undefined;
    try {
      now = this.#computeOutcome(key);
    } catch (error) {
      // A bug of ours: the service keeps what it had, and nobody else loses anything.
      const message = `cannot be computed (${(error as Error).message}); it stays as it was. please report this`;
      delta.warnings.push({ object: `Service ${key}`, field: 'spec', message });
      return;
    }
    if (now) this.#outcomes.set(key, now);
    else this.#outcomes.delete(key);
    for (const [id, service] of now?.services ?? []) {
      if (!isSame(service, old?.services.get(id))) delta.upserts.push(service);
    }
    for (const id of old?.services.keys() ?? []) if (!now?.services.has(id)) delta.removals.push(id);
    for (const [id, warning] of now?.warnings ?? []) {
      if (!old?.warnings.has(id)) delta.warnings.push(warning);
    }
    if (isSame(old?.healthCheck, now?.healthCheck)) return;
    delta.healthChecks ??= { upserts: [], removals: [] };
    if (now?.healthCheck) delta.healthChecks.upserts.push(now.healthCheck);
    else delta.healthChecks.removals.push(key);
  }

  #computeOutcome(key: string): Outcome | undefined {
    const known = this.#registry.services.get(key);
    if (!known?.shape.served) return undefined;
    this.stats.servicesRecomputed += 1;
    const { services, healthCheck, warnings } = computeService(
      known.shape,
      known.claims,
      this.#registry.slicesOf(key),
      {
        nodeName: this.#nodeName,
        labelsOf: this.#nodes.labelsOf,
        isClusterIp: this.#registry.isClusterIp,
        ownerOf: this.#registry.ownerOf,
        nodeAddresses: this.#nodeAddresses,
        sourceRangesOnNodePorts: this.#sourceRangesOnNodePorts,
      },
    );
    const all = [...known.shape.warnings, ...known.claimWarnings, ...warnings];
    return {
      services: new Map(services.map((service) => [service.id, service])),
      healthCheck,
      warnings: new Map(all.map((warning) => [warningId(warning), warning])),
    };
  }
}

function byId(a: DesiredService, b: DesiredService): number {
  return compareText(a.id, b.id);
}

function serviceKey({ namespace, name }: HealthCheck): string {
  return `${namespace}/${name}`;
}

function warningId({ object, field, message }: Warning): string {
  return `${object} ${field} ${message}`;
}
