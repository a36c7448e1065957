import type { Command } from 'commander';
import type { FrontendView, ServiceCounters } from '../../datapath/index.js';
import type { CliEnvironment } from '../environment.js';
import { hostPort } from '../output/text.js';
import type { LiveState } from '../reader.js';
import { serviceName } from '../views/order.js';
import { frontends, type Scope, serviceRow } from '../views/rows.js';
import { addListCommand } from './read.js';

/** Counters are kept by service port, so the frontends of one port show the same numbers. */
interface CountedFrontend {
  frontend: FrontendView;
  counters: ServiceCounters;
}

export function addServicesCommand(program: Command, environment: CliEnvironment): void {
  addListCommand<CountedFrontend>(program, environment, {
    name: 'services',
    summary: 'frontends that this node serves, and the backends behind them',
    namespaced: true,
    view: countedFrontends,
    data: ({ frontend }) => serviceRow(frontend),
    columns: [
      { head: 'NAMESPACE', cell: ({ frontend }) => frontend.namespace },
      { head: 'NAME', cell: ({ frontend }) => serviceName(frontend) },
      { head: 'PORT', cell: ({ frontend }) => frontend.portName },
      { head: 'TYPE', cell: ({ frontend }) => frontend.type },
      { head: 'FRONTEND', cell: ({ frontend: f }) => `${hostPort(f.ip, f.port, f.family)}/${f.protocol}` },
      { head: 'POLICY', cell: ({ frontend }) => policy(frontend) },
      { head: 'AFFINITY', cell: ({ frontend }) => affinity(frontend) },
      { head: 'INTERNAL', cell: ({ frontend }) => usable(frontend, 'internal'), align: 'right' },
      { head: 'EXTERNAL', cell: ({ frontend }) => usable(frontend, 'external'), align: 'right' },
      { head: 'BACKENDS', cell: ({ frontend }) => few(frontend.backends) },
      { head: 'ALGORITHM', cell: ({ frontend }) => frontend.algorithm, wide: true },
      { head: 'SOURCES', cell: ({ frontend }) => sources(frontend), wide: true },
      { head: 'NEW-FLOWS', cell: ({ counters }) => String(counters.newFlows), wide: true, align: 'right' },
      { head: 'REFUSED', cell: ({ counters }) => String(counters.refused), wide: true, align: 'right' },
      { head: 'DROPPED', cell: ({ counters }) => String(counters.dropped), wide: true, align: 'right' },
    ],
  });
}

function countedFrontends(live: LiveState, namespace: string | undefined): CountedFrontend[] {
  return frontends(live, namespace).map((frontend) => ({
    frontend,
    counters: live.maps.serviceCounters(frontend.serviceId),
  }));
}

/** The policy that matters for the frontend's type. */
function policy(frontend: FrontendView): string {
  return frontend.type === 'ClusterIP' ? frontend.internalTrafficPolicy : frontend.externalTrafficPolicy;
}

function affinity(frontend: FrontendView): string {
  return frontend.affinity.mode === 'ClientIP' ? `ClientIP ${frontend.affinity.timeoutSeconds}s` : '';
}

/** How many backends serve a scope, or what its new traffic gets when there is none. */
function usable(frontend: FrontendView, scope: Scope): string {
  const count = frontend.backends.filter((b) => b.usedFor.includes(scope)).length;
  return count > 0 ? String(count) : frontend.whenEmpty[scope];
}

function sources({ sourceRanges }: FrontendView): string {
  if (sourceRanges === undefined) return '';
  return sourceRanges.length > 0 ? sourceRanges.join(' ') : 'nobody';
}

const SHOWN = 3;

/** Usable ones first; a line of a table has room for a few. */
function few(backends: FrontendView['backends']): string {
  const serving = backends.filter((b) => b.usedFor.length > 0);
  const texts = serving.slice(0, SHOWN).map((b) => hostPort(b.ip, b.port));
  if (serving.length > SHOWN) texts.push(`+${serving.length - SHOWN} more`);
  const idle = backends.length - serving.length;
  if (idle > 0) texts.push(`(${idle} not usable)`);
  return texts.join(' ');
}
