import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SETTING_FIXED_CHOICE, SETTING_HOST_ROUTING_STACK } from '../../src/abi/index.js';
import { BOOKS } from '../support/packet/addresses.js';
import { build, decode, type Packet, readdress, tcp } from '../support/packet/index.js';
import { DEVICES } from '../support/packet/netns.js';
import { frameOn } from '../support/packet/table.js';
import { PacketWorld } from '../support/packet/world.js';

// bind(), or a MASQUERADE rule, gives a socket of this node a port that a flow has reserved (docs/adr/0009).
describe.each([
  { way: 'a flow past the stack', flags: 0, line: / original tcp / },
  { way: 'a second pair', flags: SETTING_HOST_ROUTING_STACK, line: / middle tcp / },
])("the port of $way and this node's own sockets", ({ flags, line }) => {
  let world: PacketWorld;
  beforeAll(async () => {
    const ports = { snat_port_min: 20000, snat_port_max: 20003 };
    world = await PacketWorld.open({ flags: SETTING_FIXED_CHOICE | flags, ...ports });
  });
  afterAll(() => world?.object.close());

  const arrives = (p: Packet) => world.run('tc_uplink_in', frameOn(p, 'uplink'), 'uplink');
  const leaves = (p: Packet) => {
    const { mac, peerMac } = DEVICES.uplink;
    return world.run('tc_uplink_out', build({ ...p, eth: { dst: peerMac, src: mac } }), 'uplink');
  };

  for (const b of BOOKS) {
    const there = b.at(b.remote, 8080);
    const opens = (from: string, to = there) => tcp(from, to, { flags: 'S' });
    const answers = (to: string) => tcp(there, to, { flags: 'SA', ack: 1 });

    it(`v${b.family}: a connection beside a flow that has just begun leaves with another port`, () => {
      world.reset();
      world.service({ at: b.nodePort(30080), backends: [there] });
      arrives(opens(b.at(b.client, 40000), b.at(b.node, 30080)));
      const reserved = world.flows().find((text) => line.test(text)) ?? '';
      const taken = b.at(b.node, Number(/ = \S+:(\d+) > /.exec(reserved)?.[1]));

      const own = leaves(opens(taken));
      expect(own).toMatchObject({ verdict: 'TCX_NEXT', problems: [] });
      const { l4 } = decode(own.out);
      const moved = b.at(b.node, l4 && 'sport' in l4 ? l4.sport : 0);
      expect(moved).not.toBe(taken);
      expect(leaves(opens(taken)).out).toEqual(own.out);

      const back = arrives(answers(moved));
      expect(back).toMatchObject({ verdict: 'TCX_NEXT', problems: [] });
      expect(back.out).toEqual(frameOn(readdress(answers(moved), { dst: taken }), 'uplink'));
    });
  }
});
