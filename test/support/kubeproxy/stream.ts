/** New connections at a steady pace: a stream as fast as possible would starve what is being tested. */
import { type Box, type BoxProcess, parseReport } from '../../../box/index.js';

export interface StreamReport {
  ok: number;
  failed: number;
  /** By errno name; EOF: closed without an answer. */
  errors: Record<string, number>;
  slowestMs: number;
}

const PROGRAM = `
import { connect } from 'node:net';
const [host, port, everyMs] = process.argv.slice(1);
const report = { ok: 0, failed: 0, errors: {}, slowestMs: 0 };
let open = 0, ended = false;
const ask = () => {
  const began = performance.now();
  const socket = connect({ host, port: Number(port) });
  let text = '', error;
  open++;
  socket.setTimeout(10000, () => socket.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })));
  socket.on('connect', () => socket.write('GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'));
  socket.on('data', (data) => { text += data; });
  socket.on('error', (e) => { error = e; });
  socket.on('close', () => {
    open--;
    report.slowestMs = Math.max(report.slowestMs, Math.round(performance.now() - began));
    if (!error && text.startsWith('HTTP/1.1 200')) report.ok++;
    else {
      report.failed++;
      const code = error?.code ?? 'EOF';
      report.errors[code] = (report.errors[code] ?? 0) + 1;
    }
    if (ended && open === 0) finish();
  });
};
const finish = () => { console.log(JSON.stringify(report)); process.exit(0); };
const timer = setInterval(ask, Number(everyMs));
console.log('started');
process.on('SIGTERM', () => { clearInterval(timer); ended = true; if (open === 0) finish(); });
`;

export class Stream {
  private constructor(private readonly process: BoxProcess) {}

  static async start(
    box: Box,
    where: string,
    to: { host: string; port: number },
    everyMs: number,
  ): Promise<Stream> {
    const argv = [process.execPath, '--input-type=module', '-e', PROGRAM, '--'];
    const running = box.spawn(where, [...argv, to.host, String(to.port), String(everyMs)]);
    await running.waitForLine(/^started/);
    return new Stream(running);
  }

  async stop(): Promise<StreamReport> {
    const { stdout } = await this.process.stop('SIGTERM', 15_000);
    return parseReport<StreamReport>(stdout);
  }
}
