/** Typed results of netclient and loadgen. */
import { toolPath } from './paths.js';
import { BoxProcess, type ExecResult, finish, type Place } from './process.js';

/** Result of the modes tcp, udp and hold. Times in milliseconds. */
export interface ClientReport {
  mode: 'tcp' | 'udp' | 'hold';
  /** Attempts (hold: exchanges) that succeeded. */
  ok: number;
  failed: number;
  /** By errno name; also EOF (closed too early), ETIMEDOUT (also the tool's own limit), EPROTOCOL. */
  errors: Record<string, number>;
  /** By step: connect, request, send, receive, open. */
  failedIn: Record<string, number>;
  /** Answers by the name of the server. */
  byServer: Record<string, number>;
  /** The client's address as the servers saw it. */
  peers: Record<string, number>;
  /** The servers' own address of the connection. */
  locals: Record<string, number>;
  /** "address:port" that the client sees as its peer: getpeername (TCP), source of the answer (UDP). */
  peerName: Record<string, number>;
  elapsedMs: number;
  minMs: number;
  meanMs: number;
  maxMs: number;
  /** How long the first and the last failed attempt took. */
  firstFailureMs: number;
  lastFailureMs: number;
  /** hold: connections at the start and at the end. */
  opened: number;
  alive: number;
}

export interface TransferReport {
  mode: 'transfer';
  direction: 'send' | 'receive';
  /** All bytes arrived and the hashes agree. */
  ok: boolean;
  bytes: number;
  hash: string;
  expected: string;
  error: string | null;
  elapsedMs: number;
}

export interface LoadReport {
  mode: 'crr' | 'rr';
  protocol: 'tcp' | 'udp';
  connections: number;
  ops: number;
  seconds: number;
  opsPerSecond: number;
  p50us: number;
  p99us: number;
  errors: number;
  errorNames: Record<string, number>;
}

export interface ClientOptions {
  source?: string;
  sourcePort?: number;
  /** Of one attempt. Default 2000. */
  timeoutMs?: number;
  /** Of the whole run. Default 60,000. */
  deadlineMs?: number;
}

export interface TcpOptions extends ClientOptions {
  /** Default 1. */
  count?: number;
  /** Default 1: one after another. */
  concurrency?: number;
  /** Go on that long instead of counting. */
  seconds?: number;
  /** Connect and close only. */
  noRequest?: boolean;
  /** Close by reset. */
  rst?: boolean;
  path?: string;
  /** The same over SCTP, for kernels that have its sockets. */
  sctp?: boolean;
}

export interface UdpOptions extends ClientOptions {
  count?: number;
  seconds?: number;
  /** All datagrams from one socket; default: a new one each. */
  oneSocket?: boolean;
  connected?: boolean;
  /** Bytes of a datagram. Default 32. */
  size?: number;
  /** Bytes that the answer is padded to. */
  answerSize?: number;
}

export interface HoldOptions extends ClientOptions {
  /** Connections. */
  count: number;
  /** At most 3600; SIGTERM ends it earlier. */
  seconds: number;
  /** Between two requests of a connection. Default 50. */
  intervalMs?: number;
  sctp?: boolean;
}

export interface TransferOptions extends ClientOptions {
  /** Bytes. Default 1 MiB. */
  bytes?: number;
  /** As seen by the client. */
  direction: 'send' | 'receive';
}

export interface LoadOptions {
  mode: 'crr' | 'rr';
  protocol?: 'tcp' | 'udp';
  /** Default 32. */
  connections?: number;
  /** Default 5. */
  seconds?: number;
  warmupMs?: number;
  /** Pin the generator to these CPUs ("1", "0-1"). */
  cpus?: string;
}

/** "10.0.0.1", 80 -> "10.0.0.1:80"; an IPv6 address gets brackets. */
export function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function common(o: ClientOptions): string[] {
  return [
    ...flag('--source', o.source),
    ...flag('--source-port', o.sourcePort),
    ...flag('--timeout-ms', o.timeoutMs),
    ...flag('--deadline-ms', o.deadlineMs),
  ];
}

function flag(name: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [name, String(value)];
}

function on(name: string, value: boolean | undefined): string[] {
  return value ? [name] : [];
}

/** The last line of stdout, as JSON. */
export function parseReport<T>(stdout: string): T {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  return JSON.parse(line) as T;
}

async function runTool<T>(place: Place, argv: string[], limitMs: number): Promise<T> {
  // A margin over the tool's own limit: the tool ends by itself, or something is wrong with it.
  const result = await finish(new BoxProcess(place, argv), { timeoutMs: limitMs + 10_000 });
  return parseReport<T>(result.stdout);
}

function limitOf(o: ClientOptions & { seconds?: number }): number {
  const whole = o.seconds === undefined ? (o.deadlineMs ?? 60_000) : o.seconds * 1000;
  return whole + (o.timeoutMs ?? 2000);
}

export function tcpClient(place: Place, to: string, o: TcpOptions = {}): Promise<ClientReport> {
  return runTool(place, [toolPath('netclient'), ...tcpArguments(to, o)], limitOf(o));
}

function tcpArguments(to: string, o: TcpOptions): string[] {
  return [
    'tcp',
    '--to',
    to,
    ...common(o),
    ...flag('--count', o.count),
    ...flag('--concurrency', o.concurrency),
    ...flag('--seconds', o.seconds),
    ...flag('--path', o.path),
    ...on('--no-request', o.noRequest),
    ...on('--rst', o.rst),
    ...on('--sctp', o.sctp),
  ];
}

export function udpClient(place: Place, to: string, o: UdpOptions = {}): Promise<ClientReport> {
  return runTool(place, [toolPath('netclient'), ...udpArguments(to, o)], limitOf(o));
}

function udpArguments(to: string, o: UdpOptions): string[] {
  return [
    'udp',
    '--to',
    to,
    ...common(o),
    ...flag('--count', o.count),
    ...flag('--seconds', o.seconds),
    ...flag('--size', o.size),
    ...flag('--path', o.answerSize === undefined ? undefined : `pad=${o.answerSize}`),
    ...on('--one-socket', o.oneSocket),
    ...on('--connected', o.connected),
  ];
}

export function transfer(place: Place, to: string, o: TransferOptions): Promise<TransferReport> {
  const argv = [
    toolPath('netclient'),
    'transfer',
    '--to',
    to,
    ...common(o),
    ...flag('--bytes', o.bytes),
    ...on('--receive', o.direction === 'receive'),
  ];
  return runTool(place, argv, limitOf(o));
}

/** A load that goes on while the caller does something else. */
export class RunningLoad {
  constructor(readonly process: BoxProcess) {}

  /** Ends the load (or waits for its own end) and reports. */
  async stop(): Promise<ClientReport> {
    return this.report(await this.process.stop('SIGTERM'));
  }

  async wait(): Promise<ClientReport> {
    return this.report(await this.process.exited);
  }

  private report(result: ExecResult): ClientReport {
    if (result.code !== 0)
      throw new Error(`run the load: ${result.stderr || result.signal} (${result.code}).`);
    return parseReport<ClientReport>(result.stdout);
  }
}

async function startLoad(place: Place, argv: string[], timeoutMs: number): Promise<RunningLoad> {
  const process = new BoxProcess(place, [toolPath('netclient'), ...argv]);
  await process.waitForLine(/"event":"started"/, timeoutMs);
  return new RunningLoad(process);
}

/** Connections that stay open and keep asking; resolves when all of them are open. */
export function holdConnections(place: Place, to: string, o: HoldOptions): Promise<RunningLoad> {
  const argv = [
    'hold',
    '--to',
    to,
    ...common(o),
    ...flag('--count', o.count),
    ...flag('--seconds', o.seconds),
    ...flag('--interval-ms', o.intervalMs),
    ...on('--sctp', o.sctp),
  ];
  return startLoad(place, argv, 10_000 + o.count * (o.timeoutMs ?? 2000));
}

/** New connections without pause; resolves when it has begun. */
export function connectSteadily(
  place: Place,
  to: string,
  o: TcpOptions & { seconds: number },
): Promise<RunningLoad> {
  return startLoad(place, tcpArguments(to, o), 10_000);
}

/** Datagrams without pause; resolves when it has begun. */
export function sendSteadily(
  place: Place,
  to: string,
  o: UdpOptions & { seconds: number },
): Promise<RunningLoad> {
  return startLoad(place, udpArguments(to, o), 10_000);
}

export function generateLoad(place: Place, to: string, o: LoadOptions): Promise<LoadReport> {
  const argv = [
    ...(o.cpus === undefined ? [] : ['taskset', '-c', o.cpus]),
    toolPath('loadgen'),
    o.mode,
    '--to',
    to,
    ...flag('--connections', o.connections),
    ...flag('--seconds', o.seconds),
    ...flag('--warmup-ms', o.warmupMs),
    ...on('--udp', o.protocol === 'udp'),
  ];
  return runTool(place, argv, (o.seconds ?? 5) * 1000 + (o.warmupMs ?? 200) + 1000);
}

/** Sends packets with a wrong L4 checksum, to prove that a capture sees them. Returns how many left. */
export async function forgeChecksums(
  place: Place,
  to: string,
  o: { protocol: 'tcp' | 'udp'; count?: number },
): Promise<number> {
  const argv = [
    toolPath('netclient'),
    'forge',
    '--to',
    to,
    ...flag('--count', o.count),
    ...on('--udp', o.protocol === 'udp'),
  ];
  return (await runTool<{ sent: number }>(place, argv, 10_000)).sent;
}
