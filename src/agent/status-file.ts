import { renameSync, writeFileSync } from 'node:fs';

/** Writes a JSON file whole or not at all, at most when something changed. */
export class StatusFile {
  #last = '';

  constructor(readonly path: string) {}

  write(status: unknown): void {
    const text = JSON.stringify(status, null, 2);
    if (text === this.#last) return;
    const temporary = `${this.path}.${process.pid}.new`;
    writeFileSync(temporary, `${text}\n`);
    renameSync(temporary, this.path);
    this.#last = text;
  }
}
