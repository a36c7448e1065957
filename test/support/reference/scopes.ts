// SEMANTICS section 3: which backends a traffic policy leaves, and which conditions they may have.
import type { Backend, Front, Scope, Service } from './types.js';

export function clusterList(backends: Backend[]): Backend[] {
  const ready = backends.filter((b) => b.condition === 'ready');
  return ready.length > 0 ? ready : backends.filter((b) => b.condition === 'terminating');
}

export const localList = (backends: Backend[]): Backend[] => clusterList(backends.filter((b) => b.local));

export function listOf(service: Service, local: boolean): Backend[] {
  return local ? localList(service.backends) : clusterList(service.backends);
}

/** internal: of pods and this node. */
export function scopeOf(service: Service, front: Front, internal: boolean): Scope {
  const local = front.type === 'ClusterIP' ? service.internalLocal : !internal && service.externalLocal;
  const list = listOf(service, local);
  const usable = clusterList(service.backends).length > 0;
  return {
    slots: service.maglev ? maglevLike(list) : list,
    whenEmpty: local && usable ? 'drop' : 'reject',
  };
}

/** A table as Maglev's: each backend many times, in no simple order, and not quite evenly. */
function maglevLike(list: Backend[]): Backend[] {
  if (list.length === 0) return [];
  return Array.from({ length: 13 }, (_, i) => list[(i * i + i) % list.length] as Backend);
}
