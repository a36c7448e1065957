import type { PodObject } from './convert-pod.js';
import { isSelected } from './pods-to-slices.js';

/** Pods by namespace and by each of their labels, so that many Services do not each look at every pod. */
export class PodIndex {
  readonly #byLabel = new Map<string, PodObject[]>();

  add(pod: PodObject): void {
    for (const [key, value] of Object.entries(pod.labels)) {
      const id = labelId(pod.namespace, key, value);
      const pods = this.#byLabel.get(id);
      if (pods === undefined) this.#byLabel.set(id, [pod]);
      else pods.push(pod);
    }
  }

  /** Pods that carry all labels of a selector; none for an empty selector. */
  select(namespace: string, selector: Readonly<Record<string, string>>): PodObject[] {
    let shortest: PodObject[] | undefined;
    for (const [key, value] of Object.entries(selector)) {
      const pods = this.#byLabel.get(labelId(namespace, key, value)) ?? [];
      if (shortest === undefined || pods.length < shortest.length) shortest = pods;
    }
    return (shortest ?? []).filter((pod) => isSelected(selector, pod));
  }
}

function labelId(namespace: string, key: string, value: string): string {
  return JSON.stringify([namespace, key, value]);
}
