import { setTimeout as sleep } from 'node:timers/promises';
import type { SourceSink } from '../../../src/kube/source.js';
import type { Change, Warning } from '../../../src/model/objects.js';

/** A sink that remembers everything, and the state that the changes add up to. */
export class Recorder implements SourceSink {
  readonly log: Change[] = [];
  readonly warnings: Warning[] = [];
  readonly state = new Map<string, Change['object']>();
  syncs = 0;

  changes(changes: Change[]): void {
    this.log.push(...changes);
    for (const change of changes) {
      const id = `${change.kind} ${change.key}`;
      if (change.object === undefined) this.state.delete(id);
      else this.state.set(id, change.object);
    }
  }

  synced(): void {
    this.syncs += 1;
  }

  warning(warning: Warning): void {
    this.warnings.push(warning);
  }

  /** Changes as `+Service default/web` and `-Service default/web`, sorted. */
  get lines(): string[] {
    return this.log.map((c) => `${c.object === undefined ? '-' : '+'}${c.kind} ${c.key}`).sort();
  }

  clear(): void {
    this.log.length = 0;
    this.warnings.length = 0;
  }
}

/** Waits until `condition` holds; fails after `withinMs` with what it waited for. */
export async function until(what: string, condition: () => boolean, withinMs = 4000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms in vain: ${what}`);
    await sleep(5);
  }
}
