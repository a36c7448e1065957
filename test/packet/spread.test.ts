import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BOOKS } from '../support/packet/addresses.js';
import { tcp } from '../support/packet/index.js';
import { frameOn } from '../support/packet/table.js';
import { PacketWorld } from '../support/packet/world.js';

// The choice that production makes, not the fixed one of the tables.
describe('spread of new connections', () => {
  let world: PacketWorld;
  beforeAll(async () => {
    world = await PacketWorld.open({ flags: 0, snat_port_max: 29999 });
  });
  afterAll(() => world?.object.close());

  for (const b of BOOKS) {
    const service = b.at(b.vip, 80);
    const backends = [b.at(b.pod2, 8080), b.at(b.remote, 8080), b.at(b.remote2, 8080)];
    // As one client does it: ports in sequence, sequence numbers far apart.
    const syn = (i: number, seq = Math.imul(i, 0x9e3779b1) >>> 0) =>
      frameOn(tcp(b.at(b.pod1, 30000 + (i % 20000)), service, { flags: 'S', seq }), 'pod1');

    it(`v${b.family}: each of three backends gets 28 to 39 % of 3000 connections`, () => {
      world.reset();
      const made = world.service({ at: service, backends });
      for (let i = 0; i < 3000; i++) expect(world.run('tc_pod_in', syn(i), 'pod1').verdict).toBe('TCX_NEXT');
      const shares = made.backends.map((id) => world.backendFlows(id) / 3000);
      for (const share of shares) {
        expect(share).toBeGreaterThan(0.28);
        expect(share).toBeLessThan(0.39);
      }
    });

    it(`v${b.family}: one tuple with many sequence numbers reaches every backend of a random service`, () => {
      world.reset();
      const made = world.service({ at: service, backends });
      for (let i = 0; i < 100; i++) {
        world.ct.half_open.clear();
        world.run('tc_pod_in', syn(1, i * 1000003), 'pod1');
      }
      expect(made.backends.every((id) => world.backendFlows(id) > 15)).toBe(true);
    });

    it(`v${b.family}: and one backend of a Maglev service`, () => {
      world.reset();
      const made = world.service({ at: service, backends, maglev: true });
      for (let i = 0; i < 100; i++) {
        world.ct.half_open.clear();
        world.run('tc_pod_in', syn(1, i * 1000003), 'pod1');
      }
      const flows = made.backends.map((id) => world.backendFlows(id));
      expect(flows.filter((n) => n > 0)).toEqual([100]);
    });
  }
});
