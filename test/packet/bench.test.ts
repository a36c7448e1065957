import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PacketBench } from '../../bench/packet/bench.js';
import { idOf, packetCases } from '../../bench/packet/cases.js';
import { bpfObjectPath } from '../../src/native/index.js';

// No figure is looked at here: only that each case of the bench measures the path that it names, packet after
// packet, so that a bench of a wrong path can't go unnoticed.
describe('every case of the packet bench takes the path that it names', () => {
  const cases = packetCases();
  let bench: PacketBench;
  beforeAll(async () => {
    bench = await PacketBench.open({ objects: [bpfObjectPath()], cases });
  });
  afterAll(() => bench?.close());

  it.each(cases.map((c) => [idOf(c)]))('%s', (id) => {
    bench.verify(id);
  });

  it('and still does after a round of measuring, with a result for each case', () => {
    const results = bench.measure(1);
    bench.verify();
    expect(results.map((r) => r.id)).toEqual(cases.map(idOf));
  });

  it('gives every case a name of its own', () => {
    expect(new Set(cases.map(idOf)).size).toBe(cases.length);
  });
});

describe('a case that takes another path than it names', () => {
  it('is refused with both in the message', async () => {
    const [honest] = packetCases();
    if (!honest) throw new Error('no cases');
    await using bench = await PacketBench.open({
      objects: [bpfObjectPath()],
      cases: [{ ...honest, counted: ['LOCAL'] }],
    });
    expect(() => bench.verify()).toThrow(/check case "concerns nobody.*expected -1, \{"LOCAL":64\}/);
  });
});
