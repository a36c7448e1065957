/** What is up is taken down when this process ends, however it ends (SIGKILL: see reapStale); last up, first down. */

interface Closable {
  closeSync(): void;
}

const open = new Set<Closable>();
let installed = false;

function closeAll(): void {
  for (const it of [...open].reverse()) {
    try {
      it.closeSync();
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

export function remember(it: Closable): void {
  open.add(it);
  if (installed) return;
  installed = true;
  process.on('exit', closeAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
}

export function forget(it: Closable): void {
  open.delete(it);
}
