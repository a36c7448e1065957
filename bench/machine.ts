/** What a result was measured on: figures without it mean nothing. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  kernel: string;
  cpu: string;
  cpus: number;
  memoryGiB: number;
  /** Of all CPUs over the last minute, when the bench began: above 0.5 others were at work. */
  loadBefore: number;
}

export function describeMachine(): Machine {
  const all = cpus();
  return {
    kernel: release(),
    cpu: cpuName(all[0]?.model ?? 'unknown'),
    cpus: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadBefore: Math.round((loadavg()[0] as number) * 10) / 10,
  };
}

function cpuName(model: string): string {
  const virtual = /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  return `${model.trim()}${virtual ? ', virtual machine' : ''}`;
}
