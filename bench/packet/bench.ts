/** Runs packet cases: interleaved rounds, each case beside its own baseline. */
import { differences, rotated, type Spread, spread } from '../stats.js';
import { addServices, idOf, type PacketCase } from './cases.js';
import { BOUNCE, Driver, type DriverRun, type Template } from './driver.js';
import { hookOf, placeOf, programOf } from './traffic.js';
import { BenchWorld, type Counted } from './world.js';

export interface PacketResult {
  id: string;
  /** Which of the compared objects; 0 is the one under test. */
  object: number;
  name: string;
  family: 4 | 6;
  protocol: 'tcp' | 'udp';
  hook: 'tc' | 'xdp';
  program: string;
  /** ns per packet with the baseline taken away, round by round. */
  net: Spread;
  /** The driver and a program that does nothing. */
  bounce: Spread;
  packets: number;
}

/** A case, ready to run in its world. */
interface Prepared {
  case: PacketCase;
  object: number;
  world: BenchWorld;
  template: Template;
  slot: number;
  next: number;
}

export interface PacketBenchOptions {
  /** Objects under test: each case runs with each of them in every round. */
  objects: readonly string[];
  cases: readonly PacketCase[];
}

/** Packets of the check that precedes and follows the measuring. */
const CHECKED = 64;

export class PacketBench implements AsyncDisposable {
  readonly #driver: Driver;
  /** By object and kind of state. */
  readonly #worlds = new Map<string, BenchWorld>();
  readonly #slots = new Map<string, number>();
  readonly #prepared: Prepared[] = [];

  /**
   * Loads the programs once for every kind of state that the cases need.
   * @throws Error unless this process has a network namespace of its own.
   */
  static async open(o: PacketBenchOptions): Promise<PacketBench> {
    const bench = new PacketBench(await Driver.open());
    try {
      for (const [object, path] of o.objects.entries()) {
        await bench.#openWorlds(o.cases, object, path);
        for (const c of o.cases) bench.#prepare(c, object);
      }
    } catch (error) {
      bench.close();
      throw error;
    }
    return bench;
  }

  private constructor(driver: Driver) {
    this.#driver = driver;
  }

  /**
   * Runs every case, or the one of that id, on a few packets and compares verdict and counters with what the case
   * claims.
   * @throws Error naming the first case that takes another way than it claims.
   */
  verify(id?: string): void {
    for (const p of this.#prepared) {
      if (id !== undefined && idOf(p.case) !== id) continue;
      this.#before(p);
      const before = p.world.counted();
      const { verdict } = this.#run(p, p.slot, CHECKED);
      const counted = difference(p.world.counted(), before);
      const wanted = Object.fromEntries(p.case.counted.map((name) => [name, CHECKED]));
      if (verdict !== p.case.verdict || !sameCounts(counted, wanted)) {
        throw new Error(
          `check case "${idOf(p.case)}": verdict ${verdict}, counted ${JSON.stringify(counted)} of ${CHECKED} packets; ` +
            `expected ${p.case.verdict}, ${JSON.stringify(wanted)} (EPROTO). The case does not measure what it says.`,
        );
      }
    }
  }

  /** Measures for a number of rounds. Each round runs every case once, each round beginning with another. */
  measure(rounds: number, onRound: (round: number) => void = () => {}): PacketResult[] {
    const samples = new Map(this.#prepared.map((p) => [p, { run: [] as number[], bounce: [] as number[] }]));
    for (let round = 0; round < rounds; round++) {
      for (const p of rotated(this.#prepared, round * 7)) {
        this.#before(p);
        const bounce = this.#run(p, BOUNCE, p.case.repeat);
        const run = this.#run(p, p.slot, p.case.repeat);
        if (run.verdict !== p.case.verdict) {
          throw new Error(
            `measure case "${idOf(p.case)}": verdict ${run.verdict}, expected ${p.case.verdict} (EPROTO).`,
          );
        }
        samples.get(p)?.run.push(run.ns);
        samples.get(p)?.bounce.push(bounce.ns);
      }
      onRound(round);
    }
    return [...samples].map(([p, { run, bounce }]) => ({
      id: idOf(p.case),
      object: p.object,
      name: p.case.name,
      family: p.case.family,
      protocol: p.case.protocol,
      hook: hookOf(p.case.stop),
      program: p.case.stop.program,
      net: spread(differences(run, bounce)),
      bounce: spread(bounce),
      packets: rounds * p.case.repeat,
    }));
  }

  async #openWorlds(cases: readonly PacketCase[], object: number, path: string): Promise<void> {
    for (const name of new Set(cases.map((c) => c.world))) {
      const programs = cases.filter((c) => c.world === name).flatMap((c) => [c.stop.program, ...c.helpers]);
      const world = await BenchWorld.open(path, [...new Set(programs)]);
      this.#worlds.set(`${object} ${name}`, world);
      addServices(world, name);
    }
  }

  #prepare(c: PacketCase, object: number): void {
    const state = `${object} ${c.world}`;
    const world = this.#worlds.get(state) as BenchWorld;
    const key = `${state} ${c.stop.program}`;
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = this.#driver.install(hookOf(c.stop), programOf(world, c.stop));
      this.#slots.set(key, slot);
    }
    const p = { case: c, object, world, template: c.prepare(world), slot, next: 0 };
    this.#prepared.push(p);
    // More new flows than the largest LRU holds: from here on every one evicts another.
    if (c.world === 'full') this.#run(p, slot, world.object.map('ct_any').info.maxEntries);
  }

  #before(p: Prepared): void {
    const isFresh = p.case.counted.includes('NEW_FLOWS');
    if (isFresh && p.case.world !== 'full') p.world.clearNewFlows();
  }

  #run(p: Prepared, slot: number, repeat: number): DriverRun {
    this.#driver.fill(p.template, slot, p.next);
    if (slot !== BOUNCE) p.next += repeat;
    return this.#driver.run(hookOf(p.case.stop), placeOf(p.case.stop), p.template.frame, repeat);
  }

  close(): void {
    this.#driver.close();
    for (const world of this.#worlds.values()) world.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

function difference(now: Counted, before: Counted): Counted {
  const entries = Object.entries(now).map(([name, n]) => [name, n - (before[name] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, n]) => n !== 0));
}

function sameCounts(a: Counted, b: Counted): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => a[name] === b[name]);
}
