import { randomUUID } from 'node:crypto';
import { ApiError } from './api-error.js';
import type { KubeObject, Resource } from './resources.js';
import type { Store } from './store.js';

export interface ListBody {
  kind: string;
  apiVersion: string;
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
  items: KubeObject[];
}

interface Snapshot {
  version: number;
  items: KubeObject[];
}

/** Lists in pages. All pages of one list show the same moment; compaction makes its token expire (410). */
export class Lists {
  readonly #snapshots = new Map<string, Snapshot>();

  constructor(readonly store: Store) {}

  /** `limit` 0: all at once. Throws ApiError 410 when the continue token has expired. */
  read(resource: Resource, filter: (object: KubeObject) => boolean, limit: number, token: string): ListBody {
    let offset = 0;
    let id = '';
    let snapshot: Snapshot = { version: this.store.version, items: [] };
    if (token === '') {
      snapshot.items = this.store.list(resource).filter(filter);
    } else {
      const [tokenId = '', tokenOffset = ''] = Buffer.from(token, 'base64url').toString().split(' ');
      const found = this.#snapshots.get(tokenId);
      if (found === undefined || found.version < this.store.compactedVersion) {
        throw new ApiError(
          410,
          'Expired',
          'The provided continue parameter is too old to display a consistent list result.',
        );
      }
      id = tokenId;
      offset = Number(tokenOffset);
      snapshot = found;
    }
    const end = limit > 0 ? Math.min(offset + limit, snapshot.items.length) : snapshot.items.length;
    const metadata: ListBody['metadata'] = { resourceVersion: String(snapshot.version) };
    if (end < snapshot.items.length) {
      if (id === '') {
        id = randomUUID();
        this.#snapshots.set(id, snapshot);
      }
      metadata.continue = Buffer.from(`${id} ${end}`).toString('base64url');
      metadata.remainingItemCount = snapshot.items.length - end;
    } else this.#snapshots.delete(id);
    const items = snapshot.items.slice(offset, end);
    return { kind: `${resource.kind}List`, apiVersion: resource.apiVersion, metadata, items };
  }
}
