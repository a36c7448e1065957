import { renameSync, rmSync, writeFileSync } from 'node:fs';

/** Writes a JSON file whole or not at all, at most when something changed. */
export class StatusFile {
  #last = '';

  constructor(readonly path: string) {}

  write(status: unknown): void {
    const text = JSON.stringify(status, null, 2);
    if (text === this.#last) return;
    const temporary = `${this.path}.${process.pid}.new`;
    try {
      writeFileSync(temporary, `${text}\n`);
      renameSync(temporary, this.path);
    } catch (error) {
      rmSync(temporary, { force: true });
      const { code = 'EIO' } = error as NodeJS.ErrnoException;
      const cause =
        code === 'EISDIR' ? 'it is a directory' : code === 'ENOENT' ? 'no such directory' : 'failed';
      throw new Error(`write status file ${this.path}: ${cause} (${code}). correct --status-file`);
    }
    this.#last = text;
  }
}
