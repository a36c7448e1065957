/** Reads capture files (classic pcap, Ethernet). */

export interface CapturedPacket {
  /** Seconds since 1970. */
  time: number;
  /** Length on the wire; data is shorter when the capture cut it. */
  originalLength: number;
  data: Uint8Array;
}

const MAGIC_US = 0xa1b2c3d4;
const MAGIC_NS = 0xa1b23c4d;
const LINKTYPE_ETHERNET = 1;

/** A packet that is not yet written to its end is left out. Throws on a file of another kind. */
export function parsePcap(file: Uint8Array): CapturedPacket[] {
  if (file.length === 0) return [];
  if (file.length < 24) throw new Error('read the capture: shorter than its header (EINVAL).');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const little = view.getUint32(0, true) === MAGIC_US || view.getUint32(0, true) === MAGIC_NS;
  const magic = view.getUint32(0, little);
  if (magic !== MAGIC_US && magic !== MAGIC_NS) {
    throw new Error(`read the capture: magic number ${magic.toString(16)} is not pcap's (EINVAL).`);
  }
  const linkType = view.getUint32(20, little);
  if (linkType !== LINKTYPE_ETHERNET) {
    throw new Error(
      `read the capture: link type ${linkType} is not Ethernet (EINVAL). Capture on one device.`,
    );
  }
  const unit = magic === MAGIC_NS ? 1e9 : 1e6;
  const packets: CapturedPacket[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const length = view.getUint32(at + 8, little);
    if (at + 16 + length > file.length) break;
    packets.push({
      time: view.getUint32(at, little) + view.getUint32(at + 4, little) / unit,
      originalLength: view.getUint32(at + 12, little),
      data: file.subarray(at + 16, at + 16 + length),
    });
    at += 16 + length;
  }
  return packets;
}
