import type { ServiceCounters } from '../../datapath/views.js';

export interface ServiceStat {
  /** Unique among all that live at one time; a new service may get the id of one that is gone. */
  id: number;
  labels: ServiceLabels;
  counters: ServiceCounters;
}

export interface ServiceLabels {
  namespace: string;
  service: string;
  port: string;
  protocol: string;
  ip_family: 'IPv4' | 'IPv6';
}

/**
 * Chooses the service ports that get series of their own: at most so many, and only such with traffic. One
 * that has been chosen stays as long as it exists, so that a rate is never computed over a gap.
 */
export class ServiceSeries {
  readonly #max: number;
  #kept = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  /** @returns the chosen, and how many others have traffic. */
  choose(services: Iterable<ServiceStat>): { chosen: ServiceStat[]; leftOut: number } {
    const chosen: ServiceStat[] = [];
    const others: ServiceStat[] = [];
    for (const stat of services) {
      if (this.#kept.has(keyOf(stat))) chosen.push(stat);
      else if (hasTraffic(stat.counters)) others.push(stat);
    }
    const room = Math.max(0, this.#max - chosen.length);
    others.sort(
      (a, b) => b.counters.newFlows - a.counters.newFlows || b.counters.packets - a.counters.packets,
    );
    chosen.push(...others.slice(0, room));
    this.#kept = new Set(chosen.map(keyOf));
    return { chosen, leftOut: Math.max(0, others.length - room) };
  }
}

function hasTraffic(c: ServiceCounters): boolean {
  return c.newFlows + c.packets + c.replyPackets + c.refused + c.dropped > 0;
}

function keyOf({ id, labels }: ServiceStat): string {
  return `${id} ${labels.namespace}/${labels.service}/${labels.port}`;
}
