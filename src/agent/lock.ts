import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';

const RETRY_MS = 200;

/**
 * Keeps a second agent off the same pins: two writers would free each other's ids. An abstract socket goes
 * with its process, however that ends, so there is nothing stale to clean up.
 * @throws Error when another agent holds the lock for `waitMs`; a predecessor may be about to end.
 */
export async function acquireLock(pinPath: string, waitMs = 5000): Promise<Server> {
  // A socket's name is shorter than a path may be.
  const name = `\0shunt-agent:${createHash('sha256').update(pinPath).digest('hex').slice(0, 40)}`;
  const deadline = Date.now() + waitMs;
  for (;;) {
    const server = await listen(name);
    if (server) return server;
    if (Date.now() >= deadline) {
      throw new Error(
        `start agent: another one is running with --pin-path ${pinPath} (EADDRINUSE). end it first, or choose another pin path`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function listen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => {
      server.unref();
      resolve(server);
    });
  });
}
