import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Warning } from '../model/objects.js';
import { type ManifestObject, readDocument } from './manifest-objects.js';
import { parseManifestTextInTurns } from './manifest-text.js';
import type { SourceLog } from './source.js';

interface FileState {
  /** What stat said when the file was read; another file or content gives another text. */
  signature: string;
  objects: ManifestObject[];
  warnings: Warning[];
  /** Found missing or empty once; believed the second time. */
  doubted: boolean;
}

export interface ScanResult {
  /** In order of file name, then of appearance. */
  objects: ManifestObject[];
  warnings: Warning[];
  /** Something looks as if it were in the middle of being replaced: scan again shortly. */
  again: boolean;
  changed: boolean;
}

const MANIFEST = /^[^.].*\.(ya?ml|json)$/i;

/**
 * The manifest files of one directory, and what was last good in each of them. A file that does not parse keeps its
 * last good objects, and so does a single object that is wrong. A file that is gone or empty is believed to be so
 * only the second time it is seen: editors replace files in several steps.
 */
export class ManifestDirectory {
  readonly #files = new Map<string, FileState>();

  constructor(
    readonly path: string,
    readonly log: SourceLog,
  ) {}

  /** Reads what changed, and the files in `suspects` in any case. Throws when the directory cannot be read. */
  async scan(suspects: ReadonlySet<string>): Promise<ScanResult> {
    const names = (await readdir(this.path)).filter((name) => MANIFEST.test(name)).sort();
    const present = new Set<string>();
    let again = false;
    let changed = false;
    for (const name of names) {
      const outcome = await this.#readFile(name, suspects.has(name));
      if (outcome !== 'absent') present.add(name);
      changed ||= outcome === 'changed';
      again ||= outcome === 'doubted';
    }
    for (const [name, file] of this.#files) {
      if (present.has(name)) continue;
      if (file.doubted) {
        this.#files.delete(name);
        changed = true;
      } else {
        file.doubted = true;
        again = true;
      }
    }
    const files = [...this.#files.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file);
    return {
      objects: files.flatMap((file) => file.objects),
      warnings: files.flatMap((file) => file.warnings),
      again,
      changed,
    };
  }

  async #readFile(name: string, suspect: boolean): Promise<'absent' | 'same' | 'changed' | 'doubted'> {
    const path = join(this.path, name);
    const old = this.#files.get(name);
    try {
      const info = await stat(path, { bigint: true });
      if (!info.isFile()) return 'absent';
      const signature = [info.dev, info.ino, info.size, info.mtimeNs, info.ctimeNs].join(':');
      if (old !== undefined && old.signature === signature && !suspect && !old.doubted) return 'same';
      const text = await readFile(path, 'utf8');
      if (text.trim() === '' && old !== undefined && old.objects.length > 0 && !old.doubted) {
        old.doubted = true;
        return 'doubted';
      }
      this.#files.set(name, { signature, doubted: false, ...(await this.#read(name, text, old)) });
      return 'changed';
    } catch (error) {
      const { code = 'EIO', message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return 'absent';
      const next = 'Make it readable; what it held before stays in force';
      const warning = {
        object: `file ${name}`,
        field: '',
        message: `read ${path}: ${message} (${code}). ${next}`,
      };
      this.#files.set(name, {
        signature: '',
        doubted: false,
        objects: old?.objects ?? [],
        warnings: [warning],
      });
      return old?.signature === '' ? 'same' : 'changed';
    }
  }

  async #read(
    name: string,
    text: string,
    old: FileState | undefined,
  ): Promise<{ objects: ManifestObject[]; warnings: Warning[] }> {
    const { documents, errors } = await parseManifestTextInTurns(text);
    const objects: ManifestObject[] = [];
    const kept = old !== undefined && old.objects.length > 0;
    const warnings: Warning[] = errors.map(({ line, message }) => ({
      object: `file ${name}`,
      field: `line ${line}`,
      message: `${message}${kept ? '. what the file held before stays in force' : ''}`,
    }));
    // With broken syntax nobody knows what else was meant to be in the file.
    if (errors.length > 0 && kept) return { objects: old.objects, warnings };
    for (const document of documents) {
      const read = readDocument(name, document);
      if (read.result === 'ignored') {
        this.log.debug(`ignore ${document.kind} in ${name} line ${document.lineOf([])}: has no meaning here`);
        continue;
      }
      warnings.push(...read.warnings);
      if (read.result === 'object') objects.push(read.object);
      else {
        const lastGood = old?.objects.find((each) => each.kind === read.kind && each.key === read.key);
        if (lastGood !== undefined) objects.push(lastGood);
      }
    }
    return { objects, warnings };
  }
}
