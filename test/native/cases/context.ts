import { execFileSync } from 'node:child_process';

/** What a case may use: it runs inside the namespace of `here`, the peer is another namespace. */
export interface CaseContext {
  /** Path of sample.bpf.o. */
  object: string;
  /** A directory on bpffs of its own. */
  pins: string;
  /** A cgroup v2 directory of its own; the case may enter it. */
  cgroup: string;
  /** A veth to the other namespace, 10.77.0.1/24 here, 10.77.0.2 there. */
  device: string;
  /** Runs a command in the other namespace. */
  peer(command: string, ...args: string[]): string;
}

export type Case = (context: CaseContext) => Promise<void> | void;

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8' });
}
