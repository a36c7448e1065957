/** Does a rule match a packet? As far as that can be told from its text. */
import ipaddr from 'ipaddr.js';
import { splitSpec } from './save.js';

export interface Packet {
  in: string;
  /** '' when it is for this node. */
  out: string;
  src: string;
  dst: string;
  protocol: string;
  dport: number;
  /** conntrack states, DNAT as a virtual one. */
  states: readonly string[];
  mark: number;
}

export type Match = 'yes' | 'no' | 'unknown';

type Test = (args: string[], packet: Packet) => Match;

const PROTOCOLS: Record<string, string> = { 6: 'tcp', 17: 'udp', 132: 'sctp', 1: 'icmp', 58: 'ipv6-icmp' };

const TESTS: Record<string, Test> = {
  '-s': ([cidr = ''], p) => says(inCidr(p.src, cidr)),
  '-d': ([cidr = ''], p) => says(inCidr(p.dst, cidr)),
  '-i': ([name = ''], p) => says(isDevice(p.in, name)),
  '-o': ([name = ''], p) => says(isDevice(p.out, name)),
  '-p': ([name = ''], p) => says(name === 'all' || (PROTOCOLS[name] ?? name) === p.protocol),
  '--ctstate': ([list = ''], p) => says(list.split(',').some((state) => p.states.includes(state))),
  '--state': ([list = ''], p) => says(list.split(',').some((state) => p.states.includes(state))),
  '--dport': ([range = ''], p) => says(inPorts(p.dport, range)),
  '--dports': ([list = ''], p) => says(list.split(',').some((range) => inPorts(p.dport, range))),
  '--mark': ([text = ''], p) => says(hasMark(p.mark, text)),
  '--dst-type': ([type = ''], p) => (type === 'LOCAL' ? says(p.out === '') : 'unknown'),
  '--src-type': ([type = ''], p) => (type === 'LOCAL' ? 'no' : p.out === '' ? 'unknown' : 'unknown'),
  // What they say of the rule and not of the packet.
  '-m': () => 'yes',
  '--comment': () => 'yes',
};

/** All conditions together: one that fails settles it, one that cannot be told leaves it open. */
export function matches(spec: string, packet: Packet): Match {
  const words = splitSpec(spec);
  let result: Match = 'yes';
  for (let i = 0; i < words.length; ) {
    const negated = words[i] === '!';
    if (negated) i++;
    const option = words[i++] as string;
    if (option === '-j' || option === '-g') break;
    const args: string[] = [];
    while (i < words.length && (option === '--comment' ? args.length === 0 : !isOption(words[i] as string)))
      args.push(words[i++] as string);
    const test = TESTS[option];
    const answer = test ? test(args, packet) : 'unknown';
    const final = negated ? inverse(answer) : answer;
    if (final === 'no') return 'no';
    if (final === 'unknown') result = 'unknown';
  }
  return result;
}

function isOption(word: string): boolean {
  return word === '!' || /^--?[a-z]/i.test(word);
}

function says(value: boolean): Match {
  return value ? 'yes' : 'no';
}

function inverse(match: Match): Match {
  return match === 'unknown' ? match : says(match === 'no');
}

function inCidr(address: string, cidr: string): boolean {
  const [network = '', length] = cidr.split('/');
  if (!ipaddr.isValid(network)) return false;
  const a = ipaddr.parse(address);
  const n = ipaddr.parse(network);
  if (a.kind() !== n.kind()) return false;
  return a.match(n, length === undefined ? (n.kind() === 'ipv4' ? 32 : 128) : Number(length));
}

function isDevice(name: string, pattern: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function inPorts(port: number, range: string): boolean {
  const [min, max] = range.split(':').map(Number);
  return port >= (min ?? 0) && port <= (max ?? min ?? 0);
}

function hasMark(mark: number, text: string): boolean {
  const [value, mask] = text.split('/').map(Number);
  return (mark & (mask ?? 0xffffffff)) >>> 0 === (value ?? 0) >>> 0;
}
