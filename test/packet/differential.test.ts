// The programs against an independent reference (test/support/reference), packet by packet.
//   SHUNT_DIFFERENTIAL_PACKETS  how many (10,000; `npm run test:differential` compares 100,000)
//   SHUNT_DIFFERENTIAL_SEED     repeat a run; the seed is part of the suite's name
//   SHUNT_DIFFERENTIAL_REPORT   where a run without differences is written down
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Kernel, Play, type Settings, type Story, story, writeReport } from '../support/reference/index.js';

const PACKETS = Number(process.env.SHUNT_DIFFERENTIAL_PACKETS ?? 10_000);
const SEED = Number(process.env.SHUNT_DIFFERENTIAL_SEED ?? 20261121);
/** Packets of one story, roughly; only to size a batch. */
const PER_STORY = 25;

const USUAL: Settings = {
  masqueradeExternal: false,
  masqueradeAll: false,
  throughStack: false,
  clusterCidrs: false,
  serviceCidrs: false,
  socketsOfPods: false,
  socketUdpConnect: false,
  snatPorts: [20000, 20007],
  hairpin: { 4: '169.254.42.1', 6: 'fd00:5408:1::1' },
  hostNetns: 1n,
  hashSeed: 0x1234567,
  establishedMax: 256,
};

const SETTINGS: Record<string, Settings> = {
  'default settings': USUAL,
  'through the stack': {
    ...USUAL,
    throughStack: true,
    clusterCidrs: true,
    snatPorts: [20000, 29999],
    hashSeed: 0,
  },
  'masquerade everything': {
    ...USUAL,
    masqueradeAll: true,
    masqueradeExternal: true,
    serviceCidrs: true,
    snatPorts: [20000, 20031],
  },
  'known ranges, sockets of pods, few ports, a small flow table': {
    ...USUAL,
    clusterCidrs: true,
    serviceCidrs: true,
    socketsOfPods: true,
    socketUdpConnect: true,
    snatPorts: [20000, 20001],
    establishedMax: 2,
  },
};

const share = Math.ceil(PACKETS / Object.keys(SETTINGS).length);

describe(`differential, seed ${SEED}`, () => {
  const began = Date.now();
  const compared: [string, number][] = [];
  const outcomes = new Map<string, number>();
  afterAll(() => {
    const counts = compared.map(([name, n]) => `${name} ${n}`).join('; ');
    console.log(`compared packets: ${counts} (seed ${SEED})`);
    const path = process.env.SHUNT_DIFFERENTIAL_REPORT;
    if (path && compared.length === Object.keys(SETTINGS).length) {
      writeReport(path, { seed: SEED, seconds: (Date.now() - began) / 1000, compared, outcomes });
    }
  });

  it.each(Object.entries(SETTINGS))(
    '%s',
    async (name, settings) => {
      const kernel = await Kernel.open(settings);
      try {
        let packets = 0;
        const property = fc.property(story, ({ world, actions }: Story) => {
          const play = new Play(kernel, world, settings);
          play.run(actions);
          packets += play.packets;
          for (const [what, n] of play.outcomes) outcomes.set(what, (outcomes.get(what) ?? 0) + n);
        });
        for (let batch = 0; packets < share; batch++) {
          fc.assert(property, {
            seed: SEED + batch,
            numRuns: Math.max(10, Math.ceil((share - packets) / PER_STORY)),
            verbose: 0,
            endOnFailure: false,
          });
        }
        compared.push([name, packets]);
        expect(packets).toBeGreaterThanOrEqual(share);
      } finally {
        kernel.world.object.close();
      }
    },
    600_000,
  );
});
