import type { BpfProgram } from '../../../src/native/index.js';
import type { Bytes } from './bytes.js';
import { verifyChecksums } from './verify.js';

export type ProgramName = 'tc_pod_in' | 'tc_pod_out' | 'tc_uplink_in' | 'tc_uplink_out' | 'xdp_uplink';

export type Verdict =
  | 'TCX_NEXT'
  | 'TC_ACT_OK'
  | 'TC_ACT_SHOT'
  | 'TC_ACT_REDIRECT'
  | 'XDP_ABORTED'
  | 'XDP_DROP'
  | 'XDP_PASS'
  | 'XDP_TX'
  | 'XDP_REDIRECT'
  | `unknown ${number}`;

const TC_VERDICTS: Record<number, Verdict> = {
  [-1]: 'TCX_NEXT',
  0: 'TC_ACT_OK',
  2: 'TC_ACT_SHOT',
  7: 'TC_ACT_REDIRECT',
};
const XDP_VERDICTS: Verdict[] = ['XDP_ABORTED', 'XDP_DROP', 'XDP_PASS', 'XDP_TX', 'XDP_REDIRECT'];

export interface RunOptions {
  /** tc: the device that the packet came in by; 0: a socket of this node sent it (ingress: its own device). */
  cameBy?: number;
  /** tc: a packet of many segments with this much payload each. */
  gsoSize?: number;
}

export interface RunResult {
  verdict: Verdict;
  out: Bytes;
  /** What is wrong with the checksums and lengths of `out`. */
  problems: string[];
}

// Offsets in struct __sk_buff and struct xdp_md, which are fixed by the kernel's UAPI.
const SKB = { size: 192, ingress_ifindex: 36, ifindex: 40, gso_segs: 164, gso_size: 176 };
const XDP = { size: 24, data_end: 4, ingress_ifindex: 12 };

/** One BPF_PROG_TEST_RUN on a device of this process' network namespace. */
export function runProgram(
  program: BpfProgram,
  name: ProgramName,
  frame: Bytes,
  ifindex: number,
  o: RunOptions,
): RunResult {
  const ctx = name === 'xdp_uplink' ? xdpContext(frame, ifindex) : skbContext(name, frame, ifindex, o);
  const result = program.testRun({ data: frame, ctx, dataOutSize: 4096 });
  const code = result.retval | 0;
  const known = name === 'xdp_uplink' ? XDP_VERDICTS[code] : TC_VERDICTS[code];
  return {
    verdict: known ?? `unknown ${code}`,
    out: result.data,
    problems: verifyChecksums(result.data),
  };
}

function skbContext(name: ProgramName, frame: Bytes, ifindex: number, o: RunOptions): Bytes {
  const bytes = new Uint8Array(SKB.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(SKB.ifindex, ifindex, true);
  view.setUint32(SKB.ingress_ifindex, o.cameBy ?? (name.endsWith('_in') ? ifindex : 0), true);
  if (o.gsoSize !== undefined) {
    view.setUint32(SKB.gso_size, o.gsoSize, true);
    view.setUint32(SKB.gso_segs, Math.ceil(frame.length / o.gsoSize), true);
  }
  return bytes;
}

function xdpContext(frame: Bytes, ifindex: number): Bytes {
  const bytes = new Uint8Array(XDP.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(XDP.data_end, frame.length, true);
  view.setUint32(XDP.ingress_ifindex, ifindex, true);
  return bytes;
}
