import { drop_reason, lb_path } from '../../abi/index.js';
import type { MapsReader, MapUsage, PinnedLink } from '../reader.js';
import { counterNames, sumShards } from './counters.js';
import { by, secondsBetween } from './order.js';

export interface Status {
  pinPath: string;
  layoutVersion: number;
  agent: {
    /** null: no agent has ever written a heartbeat. */
    lastSeenSeconds: number | null;
    alive: boolean;
  };
  links: PinnedLink[];
  /** By name of enum lb_path in lower case; every path, zero included. */
  paths: Record<string, { packets: number; bytes: number }>;
  /** By name of enum drop_reason in lower case; every reason, zero included. */
  drops: Record<string, number>;
  tables: TableFill[];
}

export interface TableFill {
  name: string;
  entries: number;
  maxEntries: number;
}

/** The agent beats at least once a second; some grace for a busy machine. */
const ALIVE_WITHIN_S = 10;

/** Tables of fixed meaning per index: fill says nothing about them. */
const UNINTERESTING = /^(stats_|lb_config$|events$|settings)/;

export function viewStatus(reader: MapsReader): Status {
  const now = reader.nowNs();
  const config = new Map(reader.entries('lb_config')).get(0);
  const seenNs = config?.agent_seen_ns ?? 0n;
  const lastSeenSeconds = seenNs === 0n ? null : secondsBetween(seenNs, now);
  const paths = sumShards(reader, 'stats_paths');
  const drops = sumShards(reader, 'stats_drops');
  return {
    pinPath: reader.pinPath,
    layoutVersion: Number(config?.layout_version ?? 0n),
    agent: { lastSeenSeconds, alive: lastSeenSeconds !== null && lastSeenSeconds <= ALIVE_WITHIN_S },
    links: reader.links().sort(
      by(
        (l) => l.device ?? '',
        (l) => l.hook,
      ),
    ),
    paths: Object.fromEntries(
      counterNames(lb_path, 'PATH_').map(([name, id]) => {
        const sum = paths.get(id);
        return [name, { packets: sum?.packets ?? 0, bytes: sum?.bytes ?? 0 }];
      }),
    ),
    drops: Object.fromEntries(
      counterNames(drop_reason, 'DROP_REASON_').map(([name, id]) => [name, drops.get(id)?.packets ?? 0]),
    ),
    tables: reader
      .usage()
      .filter(hasFill)
      .map(fillOf)
      .sort(by((t) => t.name)),
  };
}

function hasFill(map: MapUsage): map is MapUsage & { entries: number } {
  return map.entries !== null && !UNINTERESTING.test(map.name);
}

function fillOf({ name, entries, maxEntries }: MapUsage & { entries: number }): TableFill {
  return { name, entries, maxEntries };
}
