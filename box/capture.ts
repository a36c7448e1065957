/**
 * Captures in a namespace and looks for wrong checksums. Meaningful only with tx offload off at every sender:
 * with offload a checksum is unfinished by design as long as the packet stays on this machine.
 */

import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type ChecksumFault, checkFrame } from './checksum.js';
import { parseReport } from './clients.js';
import { toolPath } from './paths.js';
import { type CapturedPacket, parsePcap } from './pcap.js';
import { BoxProcess, type Place } from './process.js';

export interface CaptureOptions {
  /** Default eth0. */
  device?: string;
  /** tcpdump's filter language, for example `tcp port 80`. Default: everything. */
  filter?: string;
  /** Packets coming in only, out only, or both (default). */
  direction?: 'in' | 'out';
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
  /** Packets that are not in the capture as a whole (longer than 256 KiB): not checked. */
  cut: number;
  /** Packets that the kernel could not hand over. */
  dropped: number;
}

export class Capture {
  constructor(
    private readonly process: BoxProcess,
    private readonly file: string,
  ) {}

  /** Ends the capture, with all that was sent before, and reads it. May be called once. */
  async stop(): Promise<CaptureResult> {
    try {
      const ended = await this.process.stop('SIGTERM', 20_000);
      if (ended.code !== 0)
        throw new Error(`capture: ${ended.stderr.trim()} (${ended.signal ?? ended.code}).`);
      const { dropped } = parseReport<{ dropped: number }>(ended.stdout);
      return { ...checkPackets(parsePcap(readFileSync(this.file))), dropped };
    } finally {
      removeFiles(this.file);
    }
  }
}

/**
 * A receiver that merges packets (GRO, with NAPI on a veth: gro `on`) leaves their checksums unfinished. The
 * merging is switched off, not GRO itself: XDP redirect into the device needs its NAPI.
 */
const CAPTURE = `
device=$1 filter=$2 file=$3; shift 3
ip link set dev "$device" gro_max_size 1
if [ -n "$filter" ]; then
  tcpdump -i "$device" -ddd "$filter" > "$file.filter" || exit 1
  set -- "$@" --filter-file "$file.filter"
fi
exec "$@" --device "$device" --write "$file"`;

/** Resolves when the device is listened to: what is sent afterwards is in the capture. */
export async function startCapture(place: Place, options: CaptureOptions = {}): Promise<Capture> {
  const file = join(place.directory, `${randomUUID()}.pcap`);
  const argv = ['sh', '-c', CAPTURE, 'sh', options.device ?? 'eth0', options.filter ?? '', file];
  argv.push(
    toolPath('sniff'),
    ...(options.direction === undefined ? [] : ['--direction', options.direction]),
  );
  const process = new BoxProcess(place, argv);
  try {
    await process.waitForLine(/"event":"listening"/, 10_000);
  } catch (error) {
    process.kill('SIGKILL');
    removeFiles(file);
    throw error;
  }
  return new Capture(process, file);
}

function removeFiles(file: string): void {
  rmSync(file, { force: true });
  rmSync(`${file}.filter`, { force: true });
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
