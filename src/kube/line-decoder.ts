import { Buffer } from 'node:buffer';

const NEWLINE = 0x0a;
/** An API server refuses objects far smaller than this; a longer line is a broken peer, not an object. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

/**
 * Cuts a stream of chunks into lines. Chunks may end anywhere, inside a UTF-8 character too: bytes are put
 * together first and decoded as a whole line, and no byte of a multi-byte character equals a newline.
 * What follows the last newline stays inside; when the stream ends, it is an incomplete line and is lost on purpose.
 */
export class LineDecoder {
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /** Lines completed by this chunk, without their newline; empty lines are left out. */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, at));
      const line = this.#take();
      if (line !== '') lines.push(line);
      from = at + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    return lines;
  }

  /** Bytes of the line that is not complete yet. */
  get pendingBytes(): number {
    return this.#bytes;
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes > MAX_LINE_BYTES) throw new Error(`line longer than ${MAX_LINE_BYTES} bytes`);
  }

  #take(): string {
    const line = Buffer.concat(this.#parts, this.#bytes).toString('utf8');
    this.#parts = [];
    this.#bytes = 0;
    return line;
  }
}
