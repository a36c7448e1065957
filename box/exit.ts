/** Boxes that are up are taken down when this process ends, however it ends (SIGKILL: see reapStale). */

interface Closable {
  closeSync(): void;
}

const open = new Set<Closable>();
let installed = false;

function closeAll(): void {
  for (const box of [...open]) {
    try {
      box.closeSync();
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
    }
  }
}

/** The signal ends this process as it would without us, unless somebody else handles it: then that one decides. */
function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  closeAll();
  process.removeListener(signal, onSignal);
  process.kill(process.pid, signal);
}

export function remember(box: Closable): void {
  open.add(box);
  if (installed) return;
  installed = true;
  process.on('exit', closeAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
}

export function forget(box: Closable): void {
  open.delete(box);
}
