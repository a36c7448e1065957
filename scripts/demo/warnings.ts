/** What an agent says while the demo stays up: an example that was edited wrongly must not go unnoticed. */

/** A line of its log as a person reads it; undefined for what is no warning. */
export function warningText(line: string): string | undefined {
  let entry: { level?: unknown; msg?: unknown; object?: unknown; field?: unknown };
  try {
    entry = JSON.parse(line) as typeof entry;
  } catch {
    return undefined;
  }
  const { level, msg, object, field } = entry;
  if (level !== 'warn' && level !== 'error' && level !== 'fatal') return undefined;
  const place = [object, field].filter((part) => typeof part === 'string' && part !== '').join(' ');
  return place === '' ? String(msg) : `${place}: ${String(msg)}`;
}

/** The part of an agent that is needed here. */
export interface Talker {
  readonly log: string;
  readonly process: { readonly exited: Promise<{ signal: string | null; code: number | null }> };
}

/** Says each new warning of these agents, and when one ends; call what is returned to end it. */
export function sayWarnings(agents: ReadonlyMap<string, Talker>, say: (text: string) => void): () => void {
  const read = new Map([...agents].map(([name, agent]) => [name, agent.log.length]));
  const timer = setInterval(() => {
    for (const [name, agent] of agents) {
      const { log } = agent;
      // The last piece may be half a line.
      const end = log.lastIndexOf('\n') + 1;
      const lines = log.slice(read.get(name), end).split('\n');
      read.set(name, Math.max(end, read.get(name) ?? 0));
      for (const text of lines.map(warningText)) if (text !== undefined) say(`! ${name}: ${text}`);
    }
  }, 200);
  let ended = false;
  for (const [name, { process }] of agents) {
    void process.exited.then(({ signal, code }) => {
      if (!ended)
        say(`! ${name}: the agent has ended (${signal ?? code}); traffic goes on with what the maps say`);
    });
  }
  return () => {
    ended = true;
    clearInterval(timer);
  };
}
