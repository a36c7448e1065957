import { kernelProblems } from '../agent/features.js';
import type { Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

type Feature = Exclude<keyof Facts['features'], 'kernel' | 'kernelVersion' | 'libbpf' | 'permitted'>;

/** What is missing without each, and since when the kernel has it. */
const NEEDED: [Feature, level: 'warn' | 'fail' | 'info', consequence: string, since: string][] = [
  ['programs', 'fail', 'no program can be loaded: nothing is served', 'CONFIG_BPF_SYSCALL=y'],
  ['lruHash', 'fail', 'the tables of flows cannot be made', 'Linux 4.10'],
  ['lpmTrie', 'fail', 'source ranges cannot be kept', 'Linux 4.11'],
  ['mmapArray', 'fail', 'backends and slots cannot be written', 'Linux 5.5'],
  ['ringbuf', 'fail', 'events cannot be read', 'Linux 5.8'],
  ['devmapHash', 'fail', 'the XDP program cannot be loaded', 'Linux 5.4'],
  ['cgroupLink', 'warn', "connections of this node's own processes are translated by tc only", 'Linux 5.7'],
  ['tcx', 'info', 'tc programs hang on clsact filters, which others can remove or run before', 'Linux 6.6'],
  ['xdpLink', 'warn', 'XDP is not used: everything is done by tc', 'Linux 5.9'],
  ['batch', 'info', 'dumps and sweeps of large tables take one call per entry', 'Linux 5.6'],
  ['netnsCookie', 'warn', "sockets of pods cannot be told from the node's own", 'Linux 5.14'],
  [
    'membarrier',
    'info',
    'the wait before ids are used again goes through a map of maps: as safe, a little slower',
    '',
  ],
];

export function checkKernel({ features, missingCapabilities }: Facts): Finding[] {
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
  const missing = NEEDED.filter(([feature]) => !features[feature]);
  for (const [feature, level, consequence, since] of missing) {
    const wayOut = since === '' ? '' : `use a kernel that has it (${since})`;
    findings.push(finding(level, `kernel/${feature}`, `the kernel has no ${feature}`, consequence, wayOut));
  }
  if (missing.length === 0) findings.push(ok('kernel/features', 'every feature that Shunt uses is there'));
  return findings;
}

/** "start agent: CAUSE (CODE). NEXT" */
export function sentences(text: string): { what: string; wayOut: string } {
  const match = /^(?:start agent: )?(.*?)(?: \([A-Z]+\))?\. (.*)$/s.exec(text);
  return match ? { what: match[1] ?? '', wayOut: match[2] ?? '' } : { what: text, wayOut: '' };
}
