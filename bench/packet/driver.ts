/** The BPF driver from user space: installs programs under test, fills the template, runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Codec } from '../../src/abi/codec.js';
import { compileCodec } from '../../src/abi/codec.js';
import { readAbi } from '../../src/abi/index.js';
import { BpfObject, type BpfProgram, packageRoot } from '../../src/native/index.js';
import type { Bytes } from './frames.js';

/** A 16-bit field in network order at `offset`: base + (runs so far / divisor) % count. */
export interface VaryingField {
  offset: number;
  base: number;
  count: number;
  divisor: number;
}

/** What goes in, run after run. */
export interface Template {
  frame: Bytes;
  vary?: readonly VaryingField[];
  /** Bytes that the program under test puts before the IP header; the driver takes them away again. */
  grown?: number;
}

export type Hook = 'tc' | 'xdp';

/** Where the packet is: the device of the hook, and for tc the one that it came in by (0: a local socket). */
export interface Place {
  ifindex: number;
  cameBy: number;
}

export interface DriverRun {
  /** Verdict of the last run. */
  verdict: number;
  /** Mean of one run, driver included. Whole nanoseconds: the kernel reports no fractions. */
  ns: number;
}

interface BenchTemplate {
  len: number;
  slot: number;
  grown: number;
  next: number;
  fields: VaryingField[];
  frame: Bytes;
}

const FRAME_MAX = 256;
const FIELDS = 3;
const UNUSED: VaryingField = { offset: 0, base: 0, count: 0, divisor: 1 };
/** Slot of the bounce in both arrays. */
export const BOUNCE = 0;

// Offsets in struct __sk_buff and struct xdp_md, fixed by the kernel's UAPI.
const SKB = { size: 192, ingress_ifindex: 36, ifindex: 40 };
const XDP = { size: 24, data_end: 4, ingress_ifindex: 12 };

export class Driver implements Disposable {
  readonly #object: BpfObject;
  readonly #codec: Codec<BenchTemplate>;
  readonly #zero = new Uint8Array(4);
  readonly #used: Record<Hook, number> = { tc: 0, xdp: 0 };

  /** @throws BpfError, or Error when build/bpf/bench.bpf.o is missing. */
  static async open(): Promise<Driver> {
    const path = join(packageRoot(), 'build', 'bpf', 'bench.bpf.o');
    const layout = readAbi(readFileSync(path)).structs.get('bench_template');
    if (!layout) throw new Error(`read ${path}: no struct bench_template (EINVAL). Run npm run build:bpf.`);
    const codec = compileCodec<BenchTemplate>({ kind: 'struct', layout }, layout.size, layout.name, true);
    return new Driver(await BpfObject.load({ path }), codec);
  }

  private constructor(object: BpfObject, codec: Codec<BenchTemplate>) {
    this.#object = object;
    this.#codec = codec;
    this.install('tc', object.program('tc_bounce'));
    this.install('xdp', object.program('xdp_bounce'));
  }

  /** Makes a program reachable by tail call. Returns its slot. */
  install(hook: Hook, program: BpfProgram): number {
    const slot = this.#used[hook]++;
    this.#object.map(`bench_${hook}`).update(u32(slot), u32(program.fd));
    return slot;
  }

  /** Sets what the following runs send; `next` continues a numbering of varying fields. */
  fill(t: Template, slot: number, next: number): void {
    if (t.frame.length > FRAME_MAX) {
      throw new RangeError(`fill template: ${t.frame.length} bytes, ${FRAME_MAX} fit (EMSGSIZE).`);
    }
    const fields = [...(t.vary ?? [])];
    if (fields.length > FIELDS) throw new RangeError(`fill template: more than ${FIELDS} fields (E2BIG).`);
    while (fields.length < FIELDS) fields.push(UNUSED);
    const frame = new Uint8Array(FRAME_MAX);
    frame.set(t.frame);
    const value = { len: t.frame.length, slot, grown: t.grown ?? 0, next, fields, frame };
    this.#object.map('bench_template').update(this.#zero, this.#codec.encode(value));
  }

  /** Runs what was filled in `repeat` times on one CPU. */
  run(hook: Hook, place: Place, frame: Bytes, repeat: number): DriverRun {
    const ctx = hook === 'tc' ? skbContext(place) : xdpContext(place, frame.length);
    const result = this.#object.program(`${hook}_driver`).testRun({ data: frame, ctx, repeat });
    return { verdict: result.retval, ns: result.durationNs };
  }

  close(): void {
    this.#object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** One packet through a program, without the driver: to bring about a state. Returns the frame that comes out. */
export function sendOnce(program: BpfProgram, hook: Hook, place: Place, frame: Bytes): Bytes {
  const ctx = hook === 'tc' ? skbContext(place) : xdpContext(place, frame.length);
  return program.testRun({ data: frame, ctx }).data;
}

function u32(value: number): Bytes {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

function skbContext(place: Place): Bytes {
  const bytes = new Uint8Array(SKB.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(SKB.ifindex, place.ifindex, true);
  view.setUint32(SKB.ingress_ifindex, place.cameBy, true);
  return bytes;
}

function xdpContext(place: Place, length: number): Bytes {
  const bytes = new Uint8Array(XDP.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(XDP.data_end, length, true);
  view.setUint32(XDP.ingress_ifindex, place.ifindex, true);
  return bytes;
}
