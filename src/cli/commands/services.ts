import type { Command } from 'commander';
import type { CliEnvironment } from '../environment.js';
import { hostPort } from '../output/text.js';
import { type FrontendView, type ServiceBackend, viewServices } from '../views/services.js';
import { addListCommand } from './read.js';

export function addServicesCommand(program: Command, environment: CliEnvironment): void {
  addListCommand<FrontendView>(program, environment, {
    name: 'services',
    summary: 'frontends that this node serves, and the backends behind them',
    namespaced: true,
    view: viewServices,
    data: (view) => view.row,
    columns: [
      { head: 'NAMESPACE', cell: (v) => v.row.namespace },
      { head: 'NAME', cell: (v) => v.row.name },
      { head: 'PORT', cell: (v) => v.row.portName },
      { head: 'TYPE', cell: (v) => v.row.type },
      { head: 'FRONTEND', cell: (v) => `${hostPort(v.row.ip, v.row.port, v.family)}/${v.row.protocol}` },
      { head: 'POLICY', cell: policy },
      { head: 'AFFINITY', cell: affinity },
      { head: 'INTERNAL', cell: (v) => String(v.usable.internal), align: 'right' },
      { head: 'EXTERNAL', cell: (v) => String(v.usable.external), align: 'right' },
      { head: 'BACKENDS', cell: (v) => few(v.row.backends) },
      { head: 'ALGORITHM', cell: (v) => v.algorithm, wide: true },
      { head: 'NEW-FLOWS', cell: (v) => String(v.newFlows), wide: true, align: 'right' },
      { head: 'REFUSED', cell: (v) => String(v.refused), wide: true, align: 'right' },
      { head: 'DROPPED', cell: (v) => String(v.dropped), wide: true, align: 'right' },
    ],
  });
}

/** The policy that matters for the frontend's type. */
function policy({ row }: FrontendView): string {
  return row.type === 'ClusterIP' ? row.internalTrafficPolicy : row.externalTrafficPolicy;
}

function affinity({ row }: FrontendView): string {
  return row.affinity.mode === 'ClientIP' ? `ClientIP ${row.affinity.timeoutSeconds}s` : '';
}

const SHOWN = 3;

/** Usable ones first; a line of a table has room for a few. */
function few(backends: ServiceBackend[]): string {
  const usable = backends.filter((b) => b.usedFor.length > 0);
  const texts = usable.slice(0, SHOWN).map((b) => hostPort(b.ip, b.port));
  if (usable.length > SHOWN) texts.push(`+${usable.length - SHOWN} more`);
  const idle = backends.length - usable.length;
  if (idle > 0) texts.push(`(${idle} not usable)`);
  return texts.join(' ');
}
