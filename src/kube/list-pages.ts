import { HttpStatusError, ProtocolError } from './errors.js';

export interface ListOptions {
  pageSize: number;
  /** Fetches one page; `query` holds limit and continue. */
  fetchPage: (query: URLSearchParams) => Promise<unknown>;
  /** Forget all items so far: the list begins again. */
  restart: () => void;
  onItem: (item: unknown) => void;
}

interface ListPage {
  metadata?: { resourceVersion?: unknown; continue?: unknown };
  items?: unknown;
}

/**
 * Reads a whole list page by page, without resourceVersion, that is from a quorum: after a restart the agent must
 * not go back in time. Returns the resourceVersion to watch from. When the server forgets the snapshot before the
 * last page (a very long list on a busy server), the list is read once more in one piece.
 */
export async function readList(options: ListOptions): Promise<string> {
  try {
    return await readPages(options, options.pageSize);
  } catch (error) {
    if (!(error instanceof HttpStatusError && error.isGone)) throw error;
    options.restart();
    return await readPages(options, 0);
  }
}

async function readPages(options: ListOptions, pageSize: number): Promise<string> {
  let token = '';
  for (;;) {
    const query = new URLSearchParams();
    if (pageSize > 0) query.set('limit', String(pageSize));
    if (token !== '') query.set('continue', token);
    const page = (await options.fetchPage(query)) as ListPage | null;
    const version = page?.metadata?.resourceVersion;
    const items = page?.items ?? [];
    if (typeof version !== 'string' || version === '' || !Array.isArray(items)) {
      throw new ProtocolError('the answer to a list is no Kubernetes list');
    }
    for (const item of items) options.onItem(item);
    const next = page?.metadata?.continue;
    if (typeof next !== 'string' || next === '') return version;
    token = next;
  }
}
