/** Connections that kube-proxy translated and nf_conntrack still carries. */
import type { Machine } from './machine.js';

export interface OldFlow {
  protocol: string;
  client: string;
  clientPort: number;
  /** Where the client sent it: a Service. */
  ip: string;
  port: number;
}

export interface OldFlows {
  tcp: number;
  udp: number;
  sctp: number;
  /** Some of them. */
  examples: OldFlow[];
}

/** What an endpoint sees of a flow that goes past the stack. */
export interface OwnTuple {
  protocol: 'TCP' | 'UDP';
  source: { ip: string; port: number };
  endpoint: { ip: string; port: number };
}

/** Nothing moves on these any more. */
const OVER = /\b(?:TIME_WAIT|CLOSE|NONE)\b/;
const EXAMPLES = 5;

/** @returns undefined for a line that is no translated connection, or one that is over. */
export function parseConntrackLine(
  line: string,
): (OldFlow & { replyFrom: string; replyPort: number }) | undefined {
  const fields: Record<string, string[]> = {};
  for (const [, key, value] of line.matchAll(/\b(src|dst|sport|dport)=(\S+)/g)) {
    fields[key as string] = [...(fields[key as string] ?? []), value as string];
  }
  const { src, dst, sport, dport } = fields;
  if (!src?.[1] || !dst?.[0] || !sport?.[1] || !dport?.[0]) return undefined;
  const protocol = /\b(tcp|udp|sctp)\b/.exec(line)?.[1]?.toUpperCase();
  if (!protocol || (protocol !== 'UDP' && OVER.test(line))) return undefined;
  // The answers come from where the packets really go.
  if (dst[0] === src[1] && dport[0] === sport[1]) return undefined;
  return {
    protocol,
    client: src[0] as string,
    clientPort: Number(sport[0]),
    ip: dst[0],
    port: Number(dport[0]),
    replyFrom: src[1],
    replyPort: Number(sport[1]),
  };
}

/**
 * Counts by asking the conntrack tool, else /proc/net/nf_conntrack.
 * @param isService is this where a Service answers? Other translations (hostPorts) are none of kube-proxy's.
 * @returns undefined when this machine has neither.
 */
export async function countOldFlows(
  machine: Machine,
  isService: (flow: OldFlow) => boolean,
): Promise<OldFlows | undefined> {
  const texts = await listings(machine);
  if (!texts) return undefined;
  const flows: OldFlows = { tcp: 0, udp: 0, sctp: 0, examples: [] };
  for (const text of texts) {
    for (const line of text.split('\n')) {
      const flow = parseConntrackLine(line);
      if (!flow || !isService(flow)) continue;
      flows[flow.protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp']++;
      const { protocol, client, clientPort, ip, port } = flow;
      if (flows.examples.length < EXAMPLES) flows.examples.push({ protocol, client, clientPort, ip, port });
    }
  }
  return flows;
}

async function listings(machine: Machine): Promise<string[] | undefined> {
  const texts: string[] = [];
  for (const family of ['ipv4', 'ipv6']) {
    const output = await machine.run(['conntrack', '-L', '-f', family, '--dst-nat']);
    if (output?.code !== 0) {
      const proc = machine.read('/proc/net/nf_conntrack');
      return proc === undefined ? undefined : [proc];
    }
    texts.push(output.stdout);
  }
  return texts;
}

/**
 * Live connections with any translation, Shunt's too: where a new connection met the tuple of an old one,
 * nf_nat has given it another source port, and does so until it ends.
 * @returns undefined when nobody can tell.
 */
export async function countTranslated(machine: Machine): Promise<number | undefined> {
  let count = 0;
  for (const family of ['ipv4', 'ipv6']) {
    const output = await machine.run(['conntrack', '-L', '-f', family, '--any-nat']);
    if (output?.code !== 0) return undefined;
    count += output.stdout.split('\n').filter((line) => line.includes('src=') && !OVER.test(line)).length;
  }
  return count;
}

export function totalOf(flows: OldFlows): number {
  return flows.tcp + flows.udp + flows.sctp;
}

export function flowsText(flows: OldFlows): string {
  const parts = (['tcp', 'udp', 'sctp'] as const)
    .filter((p) => flows[p] > 0)
    .map((p) => `${flows[p]} ${p.toUpperCase()}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

/** Tells our entries from those of real connections. */
const MARK = '0x5348554e';
/** Longer than anybody waits; they are removed before. */
const RESERVED_SECONDS = '86400';
const AT_A_TIME = 8;

/**
 * kube-proxy's MASQUERADE takes any port that nf_conntrack does not know to be in use towards an endpoint, and
 * it does not know of flows past the stack. With an entry for each it chooses another.
 * @returns how many could be entered.
 */
export async function reserveTuples(machine: Machine, tuples: readonly OwnTuple[]): Promise<number> {
  let entered = 0;
  const queue = [...tuples];
  const work = async () => {
    for (let tuple = queue.pop(); tuple; tuple = queue.pop()) {
      const output = await machine.run(['conntrack', '-I', ...reservation(tuple)]);
      if (!output) return;
      // It is there already after an earlier call.
      if (output.code === 0 || output.stderr.includes('Such conntrack exists')) entered++;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return entered;
}

function reservation({ protocol, source, endpoint }: OwnTuple): string[] {
  const isTcp = protocol === 'TCP';
  return [
    ...['-p', protocol.toLowerCase()],
    ...['-s', source.ip, '-d', endpoint.ip, '--sport', String(source.port), '--dport', String(endpoint.port)],
    ...['-t', RESERVED_SECONDS, '-m', MARK, ...(isTcp ? ['--state', 'ESTABLISHED'] : [])],
  ];
}

export async function releaseTuples(machine: Machine): Promise<void> {
  for (const family of ['ipv4', 'ipv6']) await machine.run(['conntrack', '-D', '-f', family, '-m', MARK]);
}
