import { kernelProblems } from '../agent/features.js';
import { missingFeatures } from '../agent/missing.js';
import type { Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

type Feature = Exclude<keyof Facts['features'], 'kernel' | 'kernelVersion' | 'libbpf' | 'permitted'>;

/** What cannot be done without each, and since when the kernel has it. */
const NEEDED: [Feature, consequence: string, since: string][] = [
  ['programs', 'no program can be loaded: nothing is served', 'CONFIG_BPF_SYSCALL=y'],
  ['lruHash', 'the tables of flows cannot be made', 'Linux 4.10'],
  ['lpmTrie', 'source ranges cannot be kept', 'Linux 4.11'],
  ['mmapArray', 'backends and slots cannot be written', 'Linux 5.5'],
  ['ringbuf', 'events cannot be read', 'Linux 5.8'],
  ['devmapHash', 'the XDP program cannot be loaded', 'Linux 5.4'],
];

export function checkKernel({ features, missingCapabilities, conntrackLookup }: Facts): Finding[] {
  const findings: Finding[] = [];
  const problems = kernelProblems(features.kernel, features.btf);
  for (const problem of problems) {
    const { what, wayOut } = sentences(problem);
    findings.push(finding('fail', 'kernel', what, 'the agent does not start', wayOut));
  }
  if (problems.length === 0) findings.push(ok('kernel', `Linux ${features.kernel} with BTF`));
  if (missingCapabilities.length > 0) {
    findings.push(
      finding(
        'fail',
        'privilege',
        `capabilities are missing: ${missingCapabilities.join(', ')}`,
        'the agent does not start; what follows here may be incomplete',
        'run as root, or grant them to the container',
      ),
    );
  } else if (!features.permitted) {
    findings.push(
      finding(
        'fail',
        'privilege',
        'bpf(2) is refused although the capabilities are there: a seccomp filter or a security module is in the way',
        'the agent does not start',
        'use a runtime whose default seccomp profile lets bpf(2) through for CAP_BPF (containerd and Docker do since 2022), or deploy/seccomp/shunt.json as a Localhost profile',
      ),
    );
  } else findings.push(ok('privilege', 'bpf(2) is permitted'));
  // Without permission every probe says no.
  if (!features.permitted) return findings;
  const lack = (level: 'fail' | 'warn' | 'info', name: string, consequence: string, wayOut: string) =>
    findings.push(finding(level, `kernel/${name}`, `the kernel has no ${name}`, consequence, wayOut));
  const needed = NEEDED.filter(([feature]) => !features[feature]);
  for (const [feature, consequence, since] of needed)
    lack('fail', feature, consequence, `use a kernel that has it (${since})`);
  const missing = missingFeatures(features, conntrackLookup);
  for (const { name, isHarmless, consequence, wayOut } of missing)
    lack(isHarmless ? 'info' : 'warn', name, consequence, wayOut);
  if (needed.length + missing.length === 0)
    findings.push(ok('kernel/features', 'every feature that Shunt uses is there'));
  return findings;
}

/** "start agent: CAUSE (CODE). NEXT" */
export function sentences(text: string): { what: string; wayOut: string } {
  const match = /^(?:start agent: )?(.*?)(?: \([A-Z]+\))?\. (.*)$/s.exec(text);
  return match ? { what: match[1] ?? '', wayOut: match[2] ?? '' } : { what: text, wayOut: '' };
}
