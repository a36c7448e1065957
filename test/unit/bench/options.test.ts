import { describe, expect, it } from 'vitest';
import { parseBenchOptions } from '../../../bench/options.js';

describe('options of the bench', () => {
  it('is quick unless told otherwise, and runs both parts', () => {
    const o = parseBenchOptions([]);
    expect(o).toMatchObject({
      mode: 'quick',
      parts: ['packet', 'end-to-end'],
      writeDocs: false,
      families: [4],
    });
  });

  it('measures 10, 1,000 and 10,000 services of both families when it is to be full', () => {
    const o = parseBenchOptions(['--full', '--write-docs']);
    expect(o).toMatchObject({ services: [10, 1000, 10_000], families: [4, 6], writeDocs: true });
  });

  it('takes filters, a part and numbers', () => {
    const o = parseBenchOptions(
      '--only packet --filter XDP --filter Maglev --rounds 7 --services 5,50'.split(' '),
    );
    expect(o).toMatchObject({
      parts: ['packet'],
      filters: ['XDP', 'Maglev'],
      packetRounds: 7,
      services: [5, 50],
    });
  });

  it.each([
    [['--quick', '--full'], /exclude each other/],
    [['--only', 'all'], /--only is 'all'/],
    [['--rounds', '0'], /--rounds is '0'/],
    [['--services', '10,x'], /--services is 'x'/],
    [['--fast'], /--fast/],
  ])('refuses %j', (argv, message) => {
    expect(() => parseBenchOptions(argv)).toThrow(message);
  });
});
