import type { LiveState, PinnedLink } from '../reader.js';
import { sortedBy } from './order.js';

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

/** The agent's heartbeat comes every second; some grace for a busy machine. */
const ALIVE_WITHIN_S = 10;

export function viewStatus(live: LiveState): Status {
  const config = live.maps.config();
  const sinceNs = live.nowNs() - config.agent_seen_ns;
  const lastSeenSeconds =
    config.agent_seen_ns === 0n ? null : Math.max(0, Math.round(Number(sinceNs) / 1e6) / 1e3);
  return {
    pinPath: live.pinPath,
    layoutVersion: Number(config.layout_version),
    agent: { lastSeenSeconds, alive: lastSeenSeconds !== null && lastSeenSeconds <= ALIVE_WITHIN_S },
    links: sortedBy(
      live.links(),
      (link) => link.device ?? '',
      (link) => link.hook,
    ),
    paths: Object.fromEntries(
      live.maps.paths().map(({ path, packets, bytes }) => [path, { packets, bytes }]),
    ),
    drops: Object.fromEntries(live.maps.drops().map(({ reason, packets }) => [reason, packets])),
    tables: sortedBy(live.maps.tables(), (table) => table.name).flatMap(({ name, used, maxEntries }) =>
      // The one entry of lb_config is always there: how full it is says nothing.
      used === undefined || name === 'lb_config' ? [] : [{ name, entries: used, maxEntries }],
    ),
  };
}
