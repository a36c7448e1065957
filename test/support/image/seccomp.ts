/** What a runtime's default profile comes to for a set of capabilities, in the form that runc takes. */
import { readFileSync } from 'node:fs';

interface Rule {
  names: string[];
  action: string;
  args?: unknown[];
  errnoRet?: number;
  includes?: Condition;
  excludes?: Condition;
}

interface Condition {
  caps?: string[];
  arches?: string[];
}

/** Of golang-github-containers-common, which buildah depends on. */
const PROFILE = '/usr/share/containers/seccomp.json';

/**
 * containerd and Docker let bpf(2) and perf_event_open(2) through for these since 2022; Debian 12's file, which is
 * older, asks for SYS_ADMIN.
 */
const BY_CAPABILITY: Record<string, string> = { CAP_BPF: 'bpf', CAP_PERFMON: 'perf_event_open' };

export function runtimeDefault(capabilities: string[]) {
  const { defaultAction, defaultErrnoRet, syscalls } = JSON.parse(readFileSync(PROFILE, 'utf8')) as {
    defaultAction: string;
    defaultErrnoRet: number;
    syscalls: Rule[];
  };
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const applies = ({ includes = {}, excludes = {} }: Rule) =>
    (includes.caps ?? []).every((name) => capabilities.includes(name)) &&
    (includes.arches ?? [arch]).includes(arch) &&
    !(excludes.caps ?? []).some((name) => capabilities.includes(name)) &&
    !(excludes.arches ?? []).includes(arch);
  const newer = capabilities.flatMap((name) => BY_CAPABILITY[name] ?? []);
  const rules = syscalls
    .filter(applies)
    .map(({ names, action, args, errnoRet }) => ({
      names: names.filter((name) => !newer.includes(name)),
      action,
      ...(args?.length && { args }),
      ...(errnoRet !== undefined && { errnoRet }),
    }))
    .filter(({ names }) => names.length > 0);
  return {
    defaultAction,
    defaultErrnoRet,
    architectures: [process.arch === 'x64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64'],
    syscalls: [...rules, { names: newer, action: 'SCMP_ACT_ALLOW' }],
  };
}
