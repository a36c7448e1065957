// A process of its own that owns a box: prints its id, then ends as its argument says or waits to be killed.
// Through vitest's vite, because Node.js 20 does not run TypeScript and the tests must not depend on dist/.
import { fileURLToPath } from 'node:url';
import { createViteServer } from 'vitest/node';

const vite = await createViteServer({
  configFile: false,
  logLevel: 'error',
  appType: 'custom',
  server: { middlewareMode: true, ws: false, watch: null },
  optimizeDeps: { noDiscovery: true },
});
const index = fileURLToPath(new URL('../../../box/index.ts', import.meta.url));
const { createBox } = await vite.ssrLoadModule(index);
const box = await createBox({ nodes: 1, pods: [{ name: 'a1', node: 'node1' }] });
const server = await box.serve('a1');
console.log(JSON.stringify({ id: box.id, serverPid: server.pid }));
setInterval(() => {}, 1000);
if (process.argv[2] === 'exit') process.exit(0);
if (process.argv[2] === 'throw') throw new Error('thrown on purpose');
