/** UDP flows from fixed ports that go on while the test does something else. */
import { type Box, type BoxProcess, parseReport } from '../../../box/index.js';

export interface UdpFlowsReport {
  sent: number;
  answered: number;
  /** No answer within a second. */
  lost: number;
  /** Answers of another server than the one before. */
  moved: number;
  /** By errno name. */
  errors: Record<string, number>;
}

const PROGRAM = `
import { createSocket } from 'node:dgram';
const [host, port, count, first] = process.argv.slice(1);
const report = { sent: 0, answered: 0, lost: 0, moved: 0, errors: {} };
const sockets = Array.from({ length: Number(count) }, (_, i) => {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  const flow = { socket, waiting: 0, server: undefined };
  socket.on('error', (error) => { report.errors[error.code] = (report.errors[error.code] ?? 0) + 1; });
  socket.on('message', (data) => {
    const { server } = JSON.parse(data);
    if (flow.server && flow.server !== server) report.moved++;
    flow.server = server;
    if (flow.waiting) { report.answered++; flow.waiting = 0; }
  });
  socket.bind(Number(first) + i);
  return flow;
});
const ask = () => {
  const now = performance.now();
  for (const flow of sockets) {
    if (flow.waiting && now - flow.waiting < 1000) continue;
    if (flow.waiting) report.lost++;
    flow.waiting = now;
    report.sent++;
    flow.socket.send('ping', Number(port), host, (error) => {
      if (!error) return;
      report.errors[error.code] = (report.errors[error.code] ?? 0) + 1;
      flow.waiting = 0;
    });
  }
};
const timer = setInterval(ask, 100);
console.log('started');
process.on('SIGTERM', () => {
  clearInterval(timer);
  // What is under way may arrive.
  setTimeout(() => {
    report.lost += sockets.filter((flow) => flow.waiting).length;
    console.log(JSON.stringify(report));
    process.exit(0);
  }, 500);
});
`;

export class UdpFlows {
  private constructor(
    private readonly process: BoxProcess,
    readonly where: string,
  ) {}

  static async start(
    box: Box,
    where: string,
    to: { host: string; port: number },
    o: { count: number; firstPort: number },
  ): Promise<UdpFlows> {
    const argv = [process.execPath, '--input-type=module', '-e', PROGRAM, '--'];
    argv.push(to.host, String(to.port), String(o.count), String(o.firstPort));
    const running = box.spawn(where, argv);
    await running.waitForLine(/^started/);
    return new UdpFlows(running, where);
  }

  async stop(): Promise<UdpFlowsReport> {
    const { stdout } = await this.process.stop('SIGTERM');
    return parseReport<UdpFlowsReport>(stdout);
  }
}
