// The test API server as a process of its own, for a node in the cluster in a box:
//   node dist/test/support/api-server/main.js --host 172.30.0.1 --port 6443 --kubeconfig FILE [--tls] [--token T]
// Prints one line when it is ready. Objects and faults come over HTTP.
import { parseArgs } from 'node:util';
import { TestApiServer } from './server.js';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    kubeconfig: { type: 'string' },
    token: { type: 'string' },
    tls: { type: 'boolean', default: false },
  },
});

const server = await TestApiServer.start({
  host: values.host,
  port: Number(values.port),
  bookmarkIntervalMs: 5_000,
  ...(values.token === undefined ? {} : { token: values.token }),
  ...(values.tls ? { tls: { names: [values.host] } } : {}),
});
if (values.kubeconfig !== undefined) server.writeKubeconfig(values.kubeconfig);
process.stdout.write(`listening on ${server.url}\n`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void server.close().then(() => process.exit(0)));
}
