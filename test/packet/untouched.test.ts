import { BOOKS, type Book } from '../support/packet/addresses.js';
import {
  type Bytes,
  build,
  concat,
  DEFAULT_ETHERNET,
  echo,
  hex,
  type Packet,
  sctp,
  tcp,
  udp,
} from '../support/packet/index.js';
import type { DeviceName } from '../support/packet/netns.js';
import { type Given, packetTable, type Row, type Step } from '../support/packet/table.js';
import type { ProgramName } from '../support/packet/test-run.js';

const PROGRAMS: [ProgramName, DeviceName][] = [
  ['tc_pod_in', 'pod1'],
  ['tc_pod_out', 'pod1'],
  ['tc_uplink_in', 'uplink'],
  ['tc_uplink_out', 'uplink'],
  ['xdp_uplink', 'uplink'],
];

/** The frame passes every program as it is. */
const everywhere = (frame: Packet | Bytes): Step[] =>
  PROGRAMS.map(([program, on]) => ({
    program,
    on,
    in: frame,
    verdict: program === 'xdp_uplink' ? 'XDP_PASS' : 'TCX_NEXT',
    out: 'unchanged',
    flows: [],
  }));

function cases(b: Book): Row[] {
  const v = `v${b.family}`;
  const to = b.at(b.vip, 80);
  const from = b.at(b.pod1, 40000);
  const header = b.family === 4 ? 34 : 54;
  const syn = tcp(from, to, { flags: 'S' });
  const cut = (p: Packet, bytes: number): Bytes => build(p).slice(0, bytes);
  /** Cut behind `bytes`, but with lengths that say so: only the transport header is short. */
  const short = (p: Packet, transport: number): Packet => ({
    eth: DEFAULT_ETHERNET,
    ...(p.ip ? { ip: p.ip } : {}),
    l4: { kind: 'raw', protocol: protocolNumber(p) },
    payload: build(p).slice(header, header + transport),
  });
  const raw = (protocol: number): Packet => ({
    eth: DEFAULT_ETHERNET,
    ...(syn.ip ? { ip: syn.ip } : {}),
    l4: { kind: 'raw', protocol },
    payload: hex('0000111122223333 4444555566667777 8888999900001111'),
  });
  const changed = (p: Packet, at: number, value: number): Bytes => {
    const bytes = build(p);
    bytes[at] = value;
    return bytes;
  };
  const frames: [string, Packet | Bytes][] = [
    ['a frame that ends in the TCP header', cut(syn, header + 10)],
    ['a frame that ends in the UDP header', cut(udp(from, to), header + 5)],
    ['a TCP header that is too short', short(syn, 19)],
    ['a UDP header that is too short', short(udp(from, to), 7)],
    ['an SCTP packet without a chunk', short(sctp(from, to), 12)],
    ['an ICMP header that is too short', short(echo(b.pod1, b.vip), 1)],
    ['a wrong IP version', changed(syn, 14, b.family === 4 ? 0x65 : 0x40)],
    ['IGMP', raw(2)],
    ['ESP', raw(50)],
    ['OSPF', raw(89)],
    [b.family === 4 ? 'ICMPv6 over IPv4' : 'ICMP over IPv6', raw(b.family === 4 ? 58 : 1)],
    [
      'a tagged frame',
      { ...syn, eth: { dst: '02:00:00:00:11:01', src: '02:00:00:00:11:fe', vlan: [{ id: 7 }] } },
    ],
    ['a connection between pods', tcp(from, b.at(b.pod2, 8080), { flags: 'S' })],
    ['data between pods', tcp(from, b.at(b.pod2, 8080), { flags: 'PA', payload: 'x' })],
    ['UDP between pods', udp(from, b.at(b.pod2, 8080), { payload: 'x' })],
    ['a connection from a pod to the world', tcp(from, b.at(b.client, 443), { flags: 'S' })],
    ['a connection from the world to a pod', tcp(b.at(b.client, 40000), b.at(b.pod1, 443), { flags: 'S' })],
  ];
  if (b.family === 4) {
    frames.push(
      ['a header length below five words', changed(syn, 14, 0x44)],
      ['a total length beyond the frame', tcp(from, to, { flags: 'S', ip: { totalLength: 400 } })],
      ['a total length below the header', tcp(from, to, { flags: 'S', ip: { totalLength: 12 } })],
      ['options beyond the frame', changed(short(syn, 4), 14, 0x4f)],
      ['a broadcast', udp('0.0.0.0:68', '255.255.255.255:67', { payload: 'discover' })],
      ['ARP', concat(hex('ffffffffffff 0200000011fe 0806 0001080006040001'), new Uint8Array(20))],
      ['an unknown type of frame', hex('020000001101 0200000011fe 88cc 0207040200000011fe')],
    );
  } else {
    frames.push(
      ['a payload length beyond the frame', tcp(from, to, { flags: 'S', ip: { payloadLength: 400 } })],
      ['a neighbour solicitation', neighbourSolicitation()],
      ['an extension header beyond the frame', extension({ kind: 'destination', length: 200 })],
      ['more extension headers than anybody sends', extension(...Array(8).fill({ kind: 'destination' }))],
    );
  }
  const services: Given = (w) => {
    for (const proto of ['tcp', 'udp', 'sctp'] as const) {
      w.service({ at: to, proto, backends: [b.at(b.pod2, 8080)] });
      w.service({ at: b.nodePort(30080), proto, backends: [b.at(b.remote, 8080)] });
    }
  };
  const rows: Row[] = [
    {
      // For tc the kernel does not even take such a frame for a test.
      does: `${v}: a frame that ends in the IP header passes XDP`,
      steps: [
        {
          program: 'xdp_uplink',
          on: 'uplink',
          in: cut(syn, 24),
          verdict: 'XDP_PASS',
          out: 'unchanged',
          flows: [],
        },
      ],
    },
  ];
  return rows.concat(
    frames.map(([what, frame]) => ({
      does: `${v}: ${what} passes untouched everywhere`,
      given: services,
      steps: everywhere(frame),
    })),
  );

  function extension(
    ...extensions: NonNullable<Extract<Packet['ip'], { version: 6 }>['extensions']>
  ): Packet {
    return tcp(from, to, { flags: 'S', ip: { extensions } });
  }

  function neighbourSolicitation(): Packet {
    return {
      eth: DEFAULT_ETHERNET,
      ip: { version: 6, src: b.pod1, dst: 'ff02::1:ff00:12', hopLimit: 255 },
      l4: { kind: 'icmp', type: 135, code: 0 },
      payload: new Uint8Array(16),
    };
  }
}

function protocolNumber(p: Packet): number {
  if (p.l4?.kind === 'icmp') return p.ip?.version === 6 ? 58 : 1;
  return { tcp: 6, udp: 17, sctp: 132, raw: 0 }[p.l4?.kind ?? 'raw'];
}

packetTable('what does not concern us', BOOKS.flatMap(cases));
