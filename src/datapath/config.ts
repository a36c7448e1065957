import { type Abi, fieldOffset, type LbConfig } from '../abi/index.js';
import type { MapByName } from './handles.js';

/** lb_config[0]: words that change while programs run. Whole 64-bit stores only, so none is ever torn. */
export class ConfigWords {
  readonly #words: BigUint64Array;
  readonly #index: (field: keyof LbConfig) => number;

  constructor(abi: Abi, map: MapByName) {
    const layout = abi.layout('lb_config');
    this.#words = new BigUint64Array(map('lb_config').mmap());
    this.#index = (field) => fieldOffset(layout, field) / 8;
  }

  get(field: keyof LbConfig): bigint {
    return Atomics.load(this.#words, this.#index(field));
  }

  set(field: keyof LbConfig, value: bigint): void {
    Atomics.store(this.#words, this.#index(field), value);
  }

  /** Every cached next hop becomes invalid. Call on route, neighbour and link events. */
  raiseFibGeneration(): void {
    Atomics.add(this.#words, this.#index('fib_generation'), 1n);
  }
}
