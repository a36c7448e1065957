import { addon, type Bytes, type NativeProgram, type ProgramInfo } from './addon.js';
import { checkInteger, checkOptions } from './options.js';

export interface TestRunOptions {
  /** The frame, from the Ethernet header on; at least 14 bytes. */
  data: Bytes;
  /** `struct __sk_buff` for tc programs, `struct xdp_md` for XDP, as bytes. */
  ctx?: Bytes;
  /** Runs, default 1. The kernel runs them in one go on this thread: choose it with the event loop in mind. */
  repeat?: number;
  /** Room for the frame that comes back, default the input's size plus 512. */
  dataOutSize?: number;
  /** For example {@link TEST_XDP_LIVE_FRAMES}. */
  flags?: number;
  /** Frames per batch with live frames. */
  batchSize?: number;
}

export interface TestRunResult {
  /** What the program returned, signed. */
  retval: number;
  /** The frame as the program left it. */
  data: Bytes;
  /** The context as the program left it, when one was given. */
  ctx?: Bytes;
  /** Mean of one run. */
  durationNs: number;
}

const DATA_OUT_GROWTH = 512;

/** One loaded program. Calls throw {@link BpfError}. */
export class BpfProgram implements Disposable {
  /** Not for direct use: programs come from `BpfObject`, {@link openPinned} and {@link openById}. */
  constructor(readonly handle: NativeProgram) {}

  /** Opens a pinned program: `ENOENT` when nothing is there, `EINVAL` when it is no program. */
  static openPinned(path: string): BpfProgram {
    return new BpfProgram(addon().openPinnedProgram(path));
  }

  static openById(id: number): BpfProgram {
    return new BpfProgram(addon().openProgramById(checkInteger('BpfProgram.openById', 'id', id, 1)));
  }

  /** Read from the kernel at each access. */
  get info(): ProgramInfo {
    return this.handle.info;
  }

  /** The file descriptor, owned by this object; the value that a program array takes. */
  get fd(): number {
    return this.handle.fd;
  }

  get closed(): boolean {
    return this.handle.closed;
  }

  /** `BPF_PROG_TEST_RUN`: runs the program on a frame, nothing is sent (but with live frames). */
  testRun(options: TestRunOptions): TestRunResult {
    checkOptions('testRun', options, ['data', 'ctx', 'repeat', 'dataOutSize', 'flags', 'batchSize']);
    return this.handle.testRun({
      data: options.data,
      ctx: options.ctx,
      repeat: checkInteger('testRun', 'repeat', options.repeat ?? 1, 1, 0x7fffffff),
      dataOutSize: options.dataOutSize ?? options.data.length + DATA_OUT_GROWTH,
      flags: options.flags ?? 0,
      batchSize: options.batchSize ?? 0,
    });
  }

  /** Keeps the program loaded under a path on bpffs. */
  pin(path: string): void {
    this.handle.pin(path);
  }

  /** Closes the descriptor; links and pins keep the program running. Idempotent. */
  close(): void {
    this.handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
