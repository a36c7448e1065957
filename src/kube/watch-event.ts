import { HttpStatusError, ProtocolError } from './errors.js';

/** One line of a watch. */
export interface WatchEvent {
  type?: unknown;
  object?: { metadata?: { resourceVersion?: unknown }; code?: unknown; reason?: unknown; message?: unknown };
}

/** Throws ProtocolError when the line is no event: a stream cut and glued together must not go unnoticed. */
export function parseWatchEvent(line: string): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    throw new ProtocolError(`a line of the watch is no JSON: ${JSON.stringify(line.slice(0, 80))}`);
  }
  if (typeof event !== 'object' || event === null) throw new ProtocolError('a line of the watch is no event');
  return event as WatchEvent;
}

/** The Status object in an ERROR event. */
export function toStatusError(event: WatchEvent): HttpStatusError {
  const { code, reason, message } = event.object ?? {};
  return new HttpStatusError(
    typeof code === 'number' ? code : 500,
    typeof message === 'string' ? message : 'the watch was ended by the server',
    typeof reason === 'string' ? reason : '',
  );
}
