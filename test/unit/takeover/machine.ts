import type { LinkInfo, RouteInfo } from '../../../src/native/index.js';
import type { OldFlow } from '../../../src/takeover/conntrack.js';
import type { FamilyPort, ShuntControl, ShuntState } from '../../../src/takeover/index.js';
import type { HttpAnswer, Machine, Output } from '../../../src/takeover/machine.js';

/** A machine out of texts. Programs that are not listed are not installed. */
export class FakeMachine implements Machine {
  readonly ran: { argv: string[]; input: string }[] = [];
  programs: Record<string, string | ((argv: readonly string[], input: string) => Output | string)> = {};
  files: Record<string, string> = {};
  answers: Record<string, HttpAnswer> = {};
  #now = 0;

  async run(argv: readonly string[], input = ''): Promise<Output | undefined> {
    this.ran.push({ argv: [...argv], input });
    const program = this.programs[argv.join(' ')] ?? this.programs[argv[0] as string];
    if (program === undefined) return undefined;
    const output = typeof program === 'string' ? program : program(argv, input);
    return typeof output === 'string' ? { code: 0, stdout: output, stderr: '' } : output;
  }
  read(path: string) {
    return this.files[path];
  }
  async http(_host: string, port: number, path: string) {
    return this.answers[`${port}${path}`] ?? (this.answers[String(port)] as HttpAnswer | undefined);
  }
  async links(): Promise<LinkInfo[]> {
    const link = (ifindex: number, name: string) => ({ ifindex, name }) as LinkInfo;
    return [link(2, 'eth0'), link(3, 'vetha1')];
  }
  async routes(): Promise<RouteInfo[]> {
    const route = (family: 4 | 6, oif: number, prefixLength: number, more: Partial<RouteInfo>) =>
      ({
        family,
        oif,
        prefixLength,
        table: 254,
        type: 1,
        scope: 0,
        protocol: 3,
        metric: 0,
        ...more,
      }) as RouteInfo;
    return [
      route(4, 2, 0, { gateway: '172.30.0.1' }),
      route(4, 3, 32, { dst: '10.244.1.10' }),
      route(4, 2, 24, { dst: '10.244.2.0', gateway: '172.30.0.12' }),
    ];
  }
  async sleep(ms: number) {
    this.#now += ms;
  }
  now() {
    return this.#now;
  }
}

export const WEB: FamilyPort = { family: 4, ip: '10.96.1.1', port: 80, protocol: 'TCP' };

export class FakeShunt implements ShuntControl {
  readonly calls: string[] = [];
  handOverAnswer: string | undefined;
  cleanUpAnswer: Awaited<ReturnType<ShuntControl['cleanUp']>> = { removed: 9, problems: [] };

  constructor(public state: Partial<ShuntState> | undefined = {}) {}

  async look(): Promise<ShuntState | undefined> {
    if (!this.state) return undefined;
    const ports = this.state.ports ?? [WEB];
    const has = (p: { ip: string; port: number; protocol: string }) =>
      ports.some((q) => q.ip === p.ip && q.port === p.port && q.protocol === p.protocol);
    return {
      ...{ pinPath: '/p', agentSeenSeconds: 0.5, hooks: 12, draining: false, takingOver: false },
      ...{ flows: { tcp: 0, udp: 0, sctp: 0 }, ownTuples: [], endpoints: [], ports },
      serves: has,
      isService: (flow: OldFlow) => has(flow),
      ...this.state,
    };
  }
  async setTakeover(seconds: number) {
    this.calls.push(`takeover ${seconds}`);
  }
  async setDrain(drain: boolean) {
    this.calls.push(`drain ${drain}`);
  }
  async handOver() {
    this.calls.push('hand over');
    return this.handOverAnswer;
  }
  async cleanUp() {
    this.calls.push('clean up');
    return this.cleanUpAnswer;
  }
}
