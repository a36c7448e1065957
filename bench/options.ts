/** The command line of `npm run bench -- ...`. */
import { parseArgs } from 'node:util';

export const HELP = `npm run bench -- [options]

  --quick            the default: less than three minutes
  --full             about 20 minutes: more rounds, 10, 1,000 and 10,000 services; IPv6 and UDP too at 1,000
  --only PART        packet or end-to-end
  --filter TEXT      only cases whose name contains TEXT; may be repeated
  --rounds N         rounds of each part
  --services N,...   services besides those measured, end to end
  --object FILE      another BPF object instead of build/bpf/shunt.bpf.o (packet part)
  --against FILE     compare with this BPF object in the same rounds (packet part)
  --write-docs       write docs/BENCHMARKS.md from this run
`;

export interface BenchOptions {
  mode: 'quick' | 'full';
  parts: ('packet' | 'end-to-end')[];
  filters: string[];
  packetRounds: number;
  endToEndRounds: number;
  /** Of one end-to-end measurement. */
  seconds: number;
  services: number[];
  families: (4 | 6)[];
  protocols: ('TCP' | 'UDP')[];
  object: string | undefined;
  against: string | undefined;
  writeDocs: boolean;
  help: boolean;
}

const MODES = {
  quick: {
    packetRounds: 30,
    endToEndRounds: 3,
    seconds: 1,
    services: [1000],
    families: [4],
    protocols: ['TCP'],
  },
  full: {
    packetRounds: 100,
    endToEndRounds: 5,
    seconds: 1,
    services: [10, 1000, 10_000],
    families: [4, 6],
    protocols: ['TCP', 'UDP'],
  },
} as const;

/** @throws Error naming the option that is wrong. */
export function parseBenchOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean' },
      full: { type: 'boolean' },
      only: { type: 'string' },
      filter: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      services: { type: 'string' },
      object: { type: 'string' },
      against: { type: 'string' },
      'write-docs': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.quick && values.full)
    throw new Error('read options: --quick and --full exclude each other (EINVAL).');
  const mode = values.full ? 'full' : 'quick';
  const defaults = MODES[mode];
  const rounds = values.rounds === undefined ? undefined : wholeNumber('--rounds', values.rounds, 1);
  return {
    mode,
    parts: partsOf(values.only),
    filters: values.filter ?? [],
    packetRounds: rounds ?? defaults.packetRounds,
    endToEndRounds: rounds ?? defaults.endToEndRounds,
    seconds: defaults.seconds,
    services:
      values.services === undefined
        ? [...defaults.services]
        : values.services.split(',').map((text) => wholeNumber('--services', text, 0)),
    families: [...defaults.families],
    protocols: [...defaults.protocols],
    object: values.object,
    against: values.against,
    writeDocs: values['write-docs'] ?? false,
    help: values.help ?? false,
  };
}

function partsOf(only: string | undefined): BenchOptions['parts'] {
  if (only === undefined) return ['packet', 'end-to-end'];
  if (only !== 'packet' && only !== 'end-to-end') {
    throw new Error(`read options: --only is '${only}' (EINVAL). Use packet or end-to-end.`);
  }
  return [only];
}

function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`read options: ${flag} is '${text}' (EINVAL). Give a whole number from ${least} on.`);
  }
  return value;
}
