// The objects that the model has seen, and the indexes that say which Services an event touches. Nothing here
// walks over all Services, except `services` for the rare events that concern each one.

import { type Address, type Cidr, contains, isUnparsable, parseAddress } from './addresses.js';
import { type ParsedSlice, parseSlice } from './endpoints.js';
import { type Claim, type ClaimRank, computeClaims, type ExternalIpRule } from './frontends.js';
import { diffKeys, MultiIndex } from './multiIndex.js';
import type { EndpointSliceObject, ServiceObject, Warning } from './objects.js';
import { Ownership } from './ownership.js';
import { readService, type ServiceRules, type ServiceShape } from './services.js';

export interface KnownService {
  readonly shape: ServiceShape;
  claims: readonly Claim[];
  /** About its claims alone. */
  claimWarnings: readonly Warning[];
}

export class Registry {
  /** Services with a data path, served by us or not. */
  readonly services = new Map<string, KnownService>();
  readonly #slices = new Map<string, ParsedSlice>();
  readonly #slicesOf = new MultiIndex();
  readonly #slicesByIp = new MultiIndex();
  readonly #slicesByNode = new MultiIndex();
  readonly #clusterIps = new MultiIndex();
  /** Of Services that another proxy serves. */
  readonly #foreignIps = new MultiIndex();
  /** Grows when `foreignIps` gets other members. */
  foreignVersion = 0;
  readonly #externalIps = new MultiIndex();
  /** Served Services by node label in their topology keys. */
  readonly #byTopologyKey = new MultiIndex();
  /** Served Services whose list has source ranges. */
  readonly ranged = new Set<string>();
  readonly #ownership = new Ownership();

  constructor(
    readonly rules: ServiceRules,
    /** Services whose outcome may be another one now. */
    readonly dirty: Set<string>,
    /** Services whose claims may be other ones now; `settleClaims` takes them. */
    readonly unsettled: Set<string>,
  ) {}

  setService(key: string, object: ServiceObject | undefined): void {
    const old = this.services.get(key)?.shape;
    const shape = object && readService(object, this.rules);
    if (shape) this.services.set(key, { shape, claims: [], claimWarnings: [] });
    else this.services.delete(key);
    this.#index(this.#clusterIps, key, texts(old?.clusterIps), texts(shape?.clusterIps), (ip) =>
      this.#clusterIpMoved(ip),
    );
    const moved = () => {
      this.foreignVersion += 1;
    };
    this.#index(this.#foreignIps, key, foreignIps(old), foreignIps(shape), moved);
    this.#index(this.#externalIps, key, texts(old?.externalIps), texts(shape?.externalIps));
    this.#index(this.#byTopologyKey, key, topologyKeys(old), topologyKeys(shape));
    if (shape?.served && (shape.sourceRanges[4] || shape.sourceRanges[6])) this.ranged.add(key);
    else this.ranged.delete(key);
    this.unsettled.add(key);
    this.dirty.add(key);
  }

  setSlice(key: string, object: EndpointSliceObject | undefined): void {
    const old = this.#slices.get(key);
    const slice = object && parseSlice(object);
    if (slice) this.#slices.set(key, slice);
    else this.#slices.delete(key);
    this.#index(this.#slicesByIp, key, ips(old), ips(slice));
    this.#index(this.#slicesByNode, key, nodes(old), nodes(slice));
    for (const service of new Set([old?.serviceKey, slice?.serviceKey])) {
      if (service === undefined) continue;
      if (slice?.serviceKey === service) this.#slicesOf.add(service, key);
      else this.#slicesOf.delete(service, key);
      this.dirty.add(service);
    }
  }

  slicesOf(service: string): ParsedSlice[] {
    const slices: ParsedSlice[] = [];
    for (const key of this.#slicesOf.get(service)) {
      const slice = this.#slices.get(key);
      if (slice) slices.push(slice);
    }
    return slices;
  }

  isClusterIp = (ip: string): boolean => this.#clusterIps.has(ip);

  get foreignIps(): Iterable<string> {
    return this.#foreignIps.keys();
  }

  ownerOf = (claimKey: string): string | undefined => this.#ownership.owner(claimKey);

  /** Works out anew what the unsettled Services claim, and who keeps it. */
  settleClaims(refuse: ExternalIpRule): void {
    for (const key of this.unsettled) {
      const known = this.services.get(key);
      const ranks = new Map<string, ClaimRank>();
      if (known) {
        const { claims, warnings } = computeClaims(known.shape, refuse);
        known.claims = claims;
        known.claimWarnings = warnings;
        for (const claim of claims) ranks.set(claim.key, claim.rank);
      }
      for (const other of this.#ownership.set(key, known?.shape.createdMs ?? 0, ranks)) this.dirty.add(other);
      this.dirty.add(key);
    }
    this.unsettled.clear();
  }

  servicesByTopologyKey(label: string): Iterable<string> {
    return this.#byTopologyKey.get(label);
  }

  /** Services that ask for one of these labels and have an endpoint on the node. */
  *servicesOnNode(nodeName: string, labels: readonly string[]): Iterable<string> {
    for (const slice of this.#slicesByNode.get(nodeName)) {
      const service = this.#slices.get(slice)?.serviceKey;
      if (service === undefined) continue;
      const keys = topologyKeys(this.services.get(service)?.shape);
      if (keys.some((key) => labels.includes(key))) yield service;
    }
  }

  /** The external IPs that `isConcerned` accepts are judged again. Costs one call per distinct external IP. */
  unsettleExternalIps(isConcerned: (address: Address) => boolean): void {
    for (const ip of this.#externalIps.keys()) {
      const address = parseAddress(ip);
      if (isUnparsable(address) || !isConcerned(address)) continue;
      for (const service of this.#externalIps.get(ip)) this.unsettled.add(service);
    }
  }

  unsettleExternalIpsIn(cidrs: readonly Cidr[]): void {
    this.unsettleExternalIps((address) => cidrs.some((cidr) => contains(cidr, address)));
  }

  #clusterIpMoved(ip: string): void {
    for (const slice of this.#slicesByIp.get(ip)) {
      const service = this.#slices.get(slice)?.serviceKey;
      if (service !== undefined) this.dirty.add(service);
    }
    for (const service of this.#externalIps.get(ip)) this.unsettled.add(service);
  }

  /** `moved` is called for a key that has got its first member or lost its last. */
  #index(
    index: MultiIndex,
    member: string,
    before: Iterable<string>,
    after: Iterable<string>,
    moved: (key: string) => void = () => {},
  ): void {
    diffKeys(
      before,
      after,
      (key) => {
        index.delete(key, member);
        if (!index.has(key)) moved(key);
      },
      (key) => {
        if (!index.has(key)) moved(key);
        index.add(key, member);
      },
    );
  }
}

function texts(addresses: readonly Address[] | undefined): string[] {
  return (addresses ?? []).map(({ text }) => text);
}

function foreignIps(shape: ServiceShape | undefined): string[] {
  return shape?.served === false ? texts(shape.clusterIps) : [];
}

function topologyKeys(shape: ServiceShape | undefined): readonly string[] {
  return shape?.served ? (shape.topologyKeys ?? []) : [];
}

function* ips(slice: ParsedSlice | undefined): Iterable<string> {
  for (const { ip } of slice?.endpoints ?? []) yield ip;
}

function* nodes(slice: ParsedSlice | undefined): Iterable<string> {
  for (const { nodeName } of slice?.endpoints ?? []) if (nodeName !== undefined) yield nodeName;
}
