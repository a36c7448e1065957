/**
 * Captures in a namespace and looks for wrong checksums. Meaningful only with tx offload off at every sender:
 * with offload a checksum is unfinished by design as long as the packet stays on this machine.
 */

import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChecksumFault, checkFrame } from './checksum.js';
import { type CapturedPacket, parsePcap } from './pcap.js';
import { BoxProcess, type Place } from './process.js';

export interface CaptureOptions {
  /** Default eth0. */
  device?: string;
  /** tcpdump's filter language, for example `tcp port 80`. Default: everything. */
  filter?: string;
  /** Packets coming in only, out only, or both (default). */
  direction?: 'in' | 'out';
  /** Bytes kept of a packet; those of a longer one are not checked. Default 2048. */
  snapLength?: number;
}

export interface BadPacket extends ChecksumFault {
  /** Position in the capture, from 0. */
  index: number;
  data: Uint8Array;
}

export interface CaptureResult {
  packets: CapturedPacket[];
  /** Packets with at least one checksum that was looked at. */
  checked: number;
  /** How often each protocol's checksum was looked at. */
  checkedByProtocol: Record<string, number>;
  bad: BadPacket[];
  /** Packets longer than snapLength: not checked. */
  cut: number;
  /** Packets that the kernel could not hand to tcpdump. */
  dropped: number;
}

export class Capture {
  constructor(
    private readonly process: BoxProcess,
    private readonly file: string,
  ) {}

  /** Ends the capture, reads it and removes its file. */
  async stop(): Promise<CaptureResult> {
    try {
      const ended = await this.process.stop('SIGINT');
      if (ended.code !== 0)
        throw new Error(`capture: ${ended.stderr.trim()} (${ended.signal ?? ended.code}).`);
      const dropped = Number(/(\d+) packets? dropped by kernel/.exec(ended.stderr)?.[1] ?? 0);
      return { ...checkPackets(parsePcap(readFileSync(this.file))), dropped };
    } finally {
      rmSync(this.file, { force: true });
    }
  }
}

/**
 * A receiver that merges packets (GRO, with NAPI on a veth: gro `on`) leaves their checksums unfinished. The
 * merging is switched off, not GRO itself: XDP redirect into the device needs its NAPI.
 */
const CAPTURE = 'ip link set dev "$1" gro_max_size 1; shift; exec tcpdump "$@"';

/** Room for 32,000 packets of the default length that tcpdump has not yet taken. */
const BUFFER_KIB = 65536;

/** Resolves when tcpdump listens: what is sent afterwards is in the capture. */
export async function startCapture(place: Place, options: CaptureOptions = {}): Promise<Capture> {
  const file = join(tmpdir(), `shunt-box-${randomUUID()}.pcap`);
  const device = options.device ?? 'eth0';
  const argv = ['sh', '-c', CAPTURE, 'sh', device, '-i', device, '-w', file, '-U', '-n', '-p', '-Z', 'root'];
  argv.push('-s', String(options.snapLength ?? 2048), '-B', String(BUFFER_KIB), '--immediate-mode');
  if (options.direction !== undefined) argv.push('-Q', options.direction);
  if (options.filter !== undefined) argv.push(options.filter);
  const process = new BoxProcess(place, argv);
  try {
    await process.waitForLine(/listening on/, 10_000);
  } catch (error) {
    process.kill('SIGKILL');
    rmSync(file, { force: true });
    throw error;
  }
  return new Capture(process, file);
}

/** Checks every packet that was captured whole. */
export function checkPackets(packets: CapturedPacket[]): Omit<CaptureResult, 'dropped'> {
  const bad: BadPacket[] = [];
  const checkedByProtocol: Record<string, number> = {};
  let checked = 0;
  let cut = 0;
  packets.forEach((packet, index) => {
    if (packet.data.length < packet.originalLength) {
      cut++;
      return;
    }
    const result = checkFrame(packet.data);
    if (result.checked.length > 0) checked++;
    for (const name of result.checked) checkedByProtocol[name] = (checkedByProtocol[name] ?? 0) + 1;
    bad.push(...result.faults.map((fault) => ({ ...fault, index, data: packet.data })));
  });
  return { packets, checked, checkedByProtocol, bad, cut };
}
