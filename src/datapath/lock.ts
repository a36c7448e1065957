import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { DatapathError } from './handles.js';

/**
 * One updater per pin path: holds an abstract unix socket named after it, which the kernel frees with
 * the process, however that ends.
 * @throws DatapathError EBUSY while another process holds it.
 */
export async function lockPinPath(pinPath: string): Promise<() => void> {
  const digest = createHash('sha256').update(pinPath).digest('hex').slice(0, 32);
  const server: Server = createServer((socket) => socket.destroy());
  // The abstract name ends at its last character only when nothing pads it; the fixed length sees to that.
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') reject(error);
      else {
        reject(
          new DatapathError(
            'EBUSY',
            `open ${pinPath}: another agent is updating it (EBUSY). Stop that agent, or use another --pin-path.`,
          ),
        );
      }
    });
    server.listen(`\0shunt-updater-${digest}`, resolve);
  });
  server.unref();
  return () => void server.close();
}
