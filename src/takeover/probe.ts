/** Who answers on kube-proxy's ports? */
import type { Machine } from './machine.js';

export interface Answering {
  who: 'kube-proxy' | 'shunt' | 'unknown';
  port: number;
  /** iptables, ipvs or nftables, where it says. */
  mode?: string;
}

const HOST = '127.0.0.1';
const METRICS_PORT = 10249;
const HEALTHZ_PORT = 10256;
const MODES = ['iptables', 'ipvs', 'nftables', 'userspace', 'kernelspace'];

/** The answers of Shunt are kube-proxy's to the byte; only this path tells them apart. */
export const IDENTITY_PATH = '/shunt';

export async function whoAnswers(machine: Machine): Promise<Answering[]> {
  const found = await Promise.all([metricsPort(machine), healthzPort(machine)]);
  return found.filter((answer) => answer !== undefined);
}

async function metricsPort(machine: Machine): Promise<Answering | undefined> {
  const answer = await machine.http(HOST, METRICS_PORT, '/proxyMode');
  if (!answer) return undefined;
  if (await isShunt(machine, METRICS_PORT)) return { who: 'shunt', port: METRICS_PORT };
  const mode = answer.body.trim();
  if (answer.status === 200 && MODES.includes(mode)) return { who: 'kube-proxy', port: METRICS_PORT, mode };
  return { who: 'unknown', port: METRICS_PORT };
}

async function healthzPort(machine: Machine): Promise<Answering | undefined> {
  const answer = await machine.http(HOST, HEALTHZ_PORT, '/healthz');
  if (!answer) return undefined;
  if (await isShunt(machine, HEALTHZ_PORT)) return { who: 'shunt', port: HEALTHZ_PORT };
  const isProxy = answer.body.includes('"lastUpdated"') && answer.body.includes('"currentTime"');
  return { who: isProxy ? 'kube-proxy' : 'unknown', port: HEALTHZ_PORT };
}

async function isShunt(machine: Machine, port: number): Promise<boolean> {
  const answer = await machine.http(HOST, port, IDENTITY_PATH);
  return answer?.status === 200 && answer.body.startsWith('shunt');
}
