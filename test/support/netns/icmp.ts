/** ICMP errors in captures: the packets that they quote. */
import type { CapturedPacket } from '../../../box/index.js';

export interface QuotedPacket {
  /** What the error says about the way. */
  mtu: number;
  /** Of the quoted packet; addresses as in canonical text. */
  protocol: 'tcp' | 'udp';
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
}

const ETHERNET = 14;

/** "Fragmentation needed" and "packet too big" messages of a capture, in order. */
export function tooBigErrors(packets: CapturedPacket[]): QuotedPacket[] {
  return packets.flatMap(({ data }) => {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const type = view.getUint16(12);
    if (type === 0x0800) return quoteOf4(view);
    return type === 0x86dd ? quoteOf6(view) : [];
  });
}

function quoteOf4(view: DataView): QuotedPacket[] {
  const icmp = ETHERNET + (view.getUint8(ETHERNET) & 15) * 4;
  if (view.getUint8(ETHERNET + 9) !== 1 || view.getUint8(icmp) !== 3 || view.getUint8(icmp + 1) !== 4)
    return [];
  const inner = icmp + 8;
  const text = (at: number) => [0, 1, 2, 3].map((i) => view.getUint8(at + i)).join('.');
  return [
    {
      mtu: view.getUint16(icmp + 6),
      protocol: protocolOf(view.getUint8(inner + 9)),
      source: text(inner + 12),
      destination: text(inner + 16),
      ...portsOf(view, inner + (view.getUint8(inner) & 15) * 4),
    },
  ];
}

function quoteOf6(view: DataView): QuotedPacket[] {
  const icmp = ETHERNET + 40;
  if (view.getUint8(ETHERNET + 6) !== 58 || view.getUint8(icmp) !== 2) return [];
  const inner = icmp + 8;
  const isFragment = view.getUint8(inner + 6) === 44;
  return [
    {
      mtu: view.getUint32(icmp + 4),
      protocol: protocolOf(view.getUint8(isFragment ? inner + 40 : inner + 6)),
      source: text6(view, inner + 8),
      destination: text6(view, inner + 24),
      ...portsOf(view, inner + (isFragment ? 48 : 40)),
    },
  ];
}

function protocolOf(number: number): 'tcp' | 'udp' {
  if (number === 6) return 'tcp';
  if (number === 17) return 'udp';
  throw new Error(`read a quoted packet: protocol ${number} was not expected (EPROTO).`);
}

function portsOf(view: DataView, at: number): Pick<QuotedPacket, 'sourcePort' | 'destinationPort'> {
  return { sourcePort: view.getUint16(at), destinationPort: view.getUint16(at + 2) };
}

/** Canonical: the URL parser compresses as RFC 5952 says. */
function text6(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(at + 2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}
