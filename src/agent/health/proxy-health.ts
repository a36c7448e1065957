import type { Change } from '../../model/objects.js';

/** What the writer of the maps knows about its own progress, in performance.now() milliseconds. */
export interface Progress {
  /** Oldest change that has not reached the maps; undefined: none waits. */
  readonly pendingSinceMs: number | undefined;
  /** Last time that the maps were known to hold all that was wanted; undefined: never yet. */
  readonly lastWrittenMs: number | undefined;
}

export interface ProxyHealthOptions {
  nodeName: string;
  progress: Progress;
  /** How long a change may wait before the proxy counts as unhealthy. */
  staleMs: number;
  nowMs?: () => number;
}

export interface HealthState {
  healthy: boolean;
  nodeEligible: boolean;
  /** performance.now() milliseconds. */
  lastUpdatedMs: number;
  currentMs: number;
}

/** The cluster autoscaler puts it on a node that it is about to remove. */
const TAINT_TO_BE_DELETED = 'ToBeDeletedByClusterAutoscaler';

/**
 * SEMANTICS section 8: healthy while it starts and while no change has waited for too long. Whether the node
 * should get traffic from load balancers is another question, which only /healthz asks.
 */
export class ProxyHealth {
  readonly #o: ProxyHealthOptions;
  readonly #nowMs: () => number;
  #nodeEligible = true;

  constructor(options: ProxyHealthOptions) {
    this.#o = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Looks for this node's own object among the changes. */
  objectsChanged(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind !== 'Node' || change.key !== this.#o.nodeName) continue;
      const node = change.object;
      this.#nodeEligible =
        node !== undefined && !node.deleting && !node.taints.some(({ key }) => key === TAINT_TO_BE_DELETED);
    }
  }

  get healthy(): boolean {
    return this.state().healthy;
  }

  state(): HealthState {
    const { pendingSinceMs, lastWrittenMs } = this.#o.progress;
    const currentMs = this.#nowMs();
    const starting = lastWrittenMs === undefined;
    const stale = pendingSinceMs !== undefined && currentMs - pendingSinceMs >= this.#o.staleMs;
    return {
      healthy: starting || !stale,
      nodeEligible: this.#nodeEligible,
      lastUpdatedMs: lastWrittenMs ?? currentMs,
      currentMs,
    };
  }
}
