import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BOOKS } from '../support/packet/addresses.js';
import { build, decode, type Packet, readdress, tcp, udp } from '../support/packet/index.js';
import { DEVICES } from '../support/packet/netns.js';
import { frameOn } from '../support/packet/table.js';
import { PacketWorld } from '../support/packet/world.js';

// bind(), or a MASQUERADE rule, gives a socket of this node the port that a flow past the stack has (docs/adr/0009).
describe("a SNAT port and this node's own sockets", () => {
  let world: PacketWorld;
  beforeAll(async () => {
    world = await PacketWorld.open({ snat_port_min: 20000, snat_port_max: 20003 });
  });
  afterAll(() => world?.object.close());

  const arrives = (p: Packet) => world.run('tc_uplink_in', frameOn(p, 'uplink'), 'uplink');
  const leaves = (p: Packet) => {
    const { mac, peerMac } = DEVICES.uplink;
    return world.run('tc_uplink_out', build({ ...p, eth: { dst: peerMac, src: mac } }), 'uplink');
  };

  for (const b of BOOKS) {
    for (const proto of ['tcp', 'udp'] as const) {
      it(`${proto} v${b.family}: what is sent beside a flow that has just begun leaves with another port`, () => {
        const there = b.at(b.remote, 8080);
        const opens = (from: string, to: string) =>
          proto === 'tcp' ? tcp(from, to, { flags: 'S' }) : udp(from, to, { payload: 'query' });
        const answers = (to: string) =>
          proto === 'tcp' ? tcp(there, to, { flags: 'SA', ack: 1 }) : udp(there, to, { payload: 'answer' });
        const sourceOf = (frame: Uint8Array) => {
          const { l4 } = decode(frame);
          return b.at(b.node, l4 && 'sport' in l4 ? l4.sport : 0);
        };
        world.reset();
        world.service({ at: b.nodePort(30080), proto, backends: [there] });

        const past = arrives(opens(b.at(b.client, 40000), b.at(b.node, 30080)));
        expect(past.verdict).toBe('TC_ACT_REDIRECT');
        const taken = sourceOf(past.out);
        const own = leaves(opens(taken, there));
        expect(own).toMatchObject({ verdict: 'TCX_NEXT', problems: [] });
        const moved = sourceOf(own.out);
        expect(moved).not.toBe(taken);
        expect(own.out).toEqual(leaves(opens(taken, there)).out);

        const back = arrives(answers(moved));
        expect(back).toMatchObject({ verdict: 'TCX_NEXT', problems: [] });
        expect(back.out).toEqual(frameOn(readdress(answers(moved), { dst: taken }), 'uplink'));
        expect(arrives(answers(taken)).verdict).toBe('TC_ACT_REDIRECT');
      });
    }
  }
});
