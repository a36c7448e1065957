// What fast-check draws: a world, and what happens in it. Plain data, so that shrinking can cut it down.
import fc from 'fast-check';
import type { Condition } from './types.js';
import type { Place, WorldPlan } from './world.js';

export interface Shape {
  payload: number;
  ttl: number;
  /** IPv4 options or IPv6 extension headers. */
  extra: boolean;
  df: boolean;
  /** UDP over IPv4 without checksum; SCTP with its checksum left out. */
  unsummed: boolean;
  padded: boolean;
  xdp: boolean;
}

export type Action =
  | { do: 'send'; from: number; to: number; sport: number; flags: string; seq: number; shape: Shape }
  | { do: 'again'; flow: number; flags: string; right: boolean; shape: Shape }
  | { do: 'answer'; flow: number; flags: string; right: boolean; shape: Shape }
  | { do: 'handshake'; flow: number; shape: Shape }
  | {
      do: 'error';
      flow: number;
      about: 'original' | 'reply';
      kind: number;
      router: boolean;
      cut: number | undefined;
      shape: Shape;
    }
  | { do: 'ping'; from: number; to: number; shape: Shape }
  | {
      do: 'fragments';
      from: number;
      to: number;
      flow: number;
      sport: number;
      order: readonly number[];
      /** More than a second passes after the first one. */
      late: boolean;
      shape: Shape;
    }
  | { do: 'backend'; which: number; condition: Condition }
  | { do: 'service'; which: number }
  | { do: 'wait'; seconds: number }
  | { do: 'routes' }
  | { do: 'takeover' }
  | {
      do: 'socket';
      hook: 'connect' | 'sendmsg' | 'recvmsg';
      proto: number;
      to: number;
      cookie: number;
      host: boolean;
    }
  | {
      do: 'noise';
      hook: number;
      on: number;
      cameBy: number;
      src: number;
      dst: number;
      sport: number;
      dport: number;
      proto: number;
      flags: string;
      family: 4 | 6;
      shape: Shape;
    }
  | { do: 'spoil'; from: number; to: number; sport: number; how: number; at: number; shape: Shape };

const small = (max: number) => fc.integer({ min: 0, max });
const often = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ weight, arbitrary });
const mostly = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(often(6, fc.constant(usual)), often(1, fc.constantFrom(...others)));

const shape: fc.Arbitrary<Shape> = fc.record({
  payload: fc.oneof(often(8, small(40)), often(1, fc.constantFrom(1360, 1380, 1400, 1432, 1446))),
  ttl: mostly(64, 1, 2, 255),
  extra: mostly(false, true),
  df: mostly(true, false),
  unsummed: mostly(false, true),
  padded: mostly(false, true),
  xdp: fc.boolean(),
});

const TCP_NOISE = ['A', 'PA', 'R', 'RA', 'F', 'FA', 'SA', 'SF', '', 'SR', 'FRSPAU'];
const which = small(999);

const action: fc.Arbitrary<Action> = fc.oneof(
  often(
    8,
    fc.record({
      do: fc.constant('send' as const),
      from: which,
      to: which,
      sport: small(3),
      flags: mostly('S', ...TCP_NOISE),
      seq: small(5),
      shape,
    }),
  ),
  often(6, fc.record({ do: fc.constant('handshake' as const), flow: which, shape })),
  often(
    5,
    fc.record({
      do: fc.constant('again' as const),
      flow: which,
      flags: fc.constantFrom('A', 'PA', 'FA', 'S', 'R', ...TCP_NOISE),
      right: mostly(true, false),
      shape,
    }),
  ),
  often(
    5,
    fc.record({
      do: fc.constant('answer' as const),
      flow: which,
      flags: fc.constantFrom('SA', 'A', 'PA', 'FA', ...TCP_NOISE),
      right: mostly(true, false),
      shape,
    }),
  ),
  often(
    3,
    fc.record({
      do: fc.constant('error' as const),
      flow: which,
      about: fc.constantFrom('original' as const, 'reply' as const),
      kind: small(5),
      router: fc.boolean(),
      cut: fc.constantFrom(undefined, undefined, 28, 48, 30, 70),
      shape,
    }),
  ),
  often(1, fc.record({ do: fc.constant('ping' as const), from: which, to: which, shape })),
  often(
    3,
    fc.record({
      do: fc.constant('fragments' as const),
      from: which,
      to: which,
      flow: which,
      sport: small(3),
      order: fc.constantFrom([0, 1, 2], [0, 2, 1], [1, 0, 2], [0], [2]),
      late: mostly(false, true),
      shape,
    }),
  ),
  often(
    3,
    fc.record({
      do: fc.constant('backend' as const),
      which,
      condition: fc.constantFrom<Condition>('ready', 'terminating', 'unready', 'gone'),
    }),
  ),
  often(1, fc.record({ do: fc.constant('service' as const), which })),
  often(
    2,
    fc.record({
      do: fc.constant('wait' as const),
      seconds: fc.constantFrom(1, 3, 11, 31, 59, 61, 90, 121, 211),
    }),
  ),
  often(1, fc.record({ do: fc.constant('routes' as const) })),
  often(1, fc.record({ do: fc.constant('takeover' as const) })),
  often(
    5,
    fc.record({
      do: fc.constant('socket' as const),
      hook: fc.constantFrom('connect' as const, 'sendmsg' as const, 'recvmsg' as const),
      proto: fc.constantFrom(6, 6, 17, 17, 132),
      to: which,
      cookie: small(1),
      host: mostly(true, false),
    }),
  ),
  often(
    3,
    fc.record({
      do: fc.constant('noise' as const),
      hook: small(4),
      on: small(4),
      cameBy: small(5),
      src: which,
      dst: which,
      sport: small(5),
      dport: small(5),
      proto: fc.constantFrom(6, 17, 132),
      flags: fc.constantFrom('S', ...TCP_NOISE),
      family: fc.constantFrom(4 as const, 6 as const),
      shape,
    }),
  ),
  often(
    2,
    fc.record({
      do: fc.constant('spoil' as const),
      from: which,
      to: which,
      sport: small(3),
      how: small(7),
      at: small(60),
      shape,
    }),
  ),
);

const PLACES: Place[] = ['pod1', 'pod2', 'pod2b', 'remote', 'remote2', 'overlay'];
const ODD_PLACES: Place[] = ['narrow', 'unresolved', 'nowhere', 'node'];

const service = fc.record({
  family: fc.constantFrom(4 as const, 6 as const),
  proto: fc.constantFrom(6, 6, 6, 17, 17, 132),
  fronts: fc.array(
    fc.record({
      type: fc.constantFrom(
        'ClusterIP' as const,
        'NodePort' as const,
        'LoadBalancer' as const,
        'ExternalIP' as const,
      ),
      port: fc.constantFrom(80, 30080),
      second: fc.boolean(),
      ranges: mostly('open' as const, 'closed' as const, 'client' as const, 'pods' as const),
      nodeAllowed: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  backends: fc.array(
    fc.record({
      place: fc.oneof(often(5, fc.constantFrom(...PLACES)), often(1, fc.constantFrom(...ODD_PLACES))),
      port: mostly(8080, 80),
      condition: mostly<Condition>('ready', 'terminating', 'unready', 'gone'),
    }),
    { minLength: 0, maxLength: 4 },
  ),
  internalLocal: mostly(false, true),
  externalLocal: mostly(false, true),
  affinity: mostly(false, true),
  maglev: mostly(false, true),
});

const world: fc.Arbitrary<WorldPlan> = fc.record({
  services: fc.array(service, { minLength: 1, maxLength: 3 }),
  xdpDevices: fc.subarray(['uplink', 'uplink2', 'overlay'] as const).map((a) => [...a]),
});

export interface Story {
  world: WorldPlan;
  actions: Action[];
}

export const story: fc.Arbitrary<Story> = fc.record({
  world,
  actions: fc.array(action, { minLength: 1, maxLength: 24, size: 'max' }),
});
