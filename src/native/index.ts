/**
 * libbpf for Node: load BPF objects, work with maps (single, batch, memory-mapped), attach programs by links that
 * can be pinned and replaced atomically, run programs on test frames, read ring buffers and rtnetlink.
 *
 * ```ts
 * using object = await BpfObject.load({ path: 'filter.bpf.o', rodata: { limit: new Uint8Array([1, 0, 0, 0]) } });
 * const link = BpfLink.attachTcx({ ifindex, direction: 'ingress', program: object.program('filter'), position: 'first' });
 * link.pin('/sys/fs/bpf/filter');
 * for (const [key, value] of object.map('counters').entries()) console.log(key, value);
 * ```
 *
 * Bytes in, bytes out. Every handle closes deterministically (`close()`, `using`), works in worker threads, and what
 * is still open when its thread ends is closed with it. Failures are {@link BpfError}.
 */
export type {
  Bytes,
  ClsactFilter,
  MapBatch,
  MapSpec,
  NftChain,
  ProgramInfo,
  TcFilter,
  XdpPrograms,
} from './addon.js';
export * from './clsact.js';
export * from './constants.js';
export { BpfError } from './errors.js';
export * from './hooks.js';
export type { LinkInfo as BpfLinkInfo } from './link.js';
export { BpfLink, type CgroupOptions, type Direction, type TcxOptions, type XdpOptions } from './link.js';
export { BpfMap, isPerCpu, type MapCreateOptions, type MapExpectation } from './map.js';
export * from './netlink.js';
export { BpfObject, type LoadOptions, type ObjectDescription } from './object.js';
export { bpfObjectPath, packageRoot } from './paths.js';
export { BpfProgram, type TestRunOptions, type TestRunResult } from './program.js';
export { RingBuffer, type RingBufferOptions } from './ring-buffer.js';
export * from './system.js';
export { verifierSummary } from './verifier-log.js';
