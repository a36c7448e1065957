import type { Command } from 'commander';
import type { CliEnvironment } from '../environment.js';
import { hostPort } from '../output/text.js';
import { type BackendRow, backends } from '../views/rows.js';
import { addListCommand } from './read.js';

export function addBackendsCommand(program: Command, environment: CliEnvironment): void {
  addListCommand<BackendRow>(program, environment, {
    name: 'backends',
    summary: 'addresses that answer for the services, with their conditions',
    namespaced: true,
    view: backends,
    columns: [
      { head: 'NAMESPACE', cell: (b) => b.namespace },
      { head: 'NAME', cell: (b) => b.name },
      { head: 'PORT', cell: (b) => b.portName },
      { head: 'BACKEND', cell: (b) => `${hostPort(b.ip, b.port)}/${b.protocol}` },
      { head: 'NODE', cell: (b) => (b.nodeName ?? '') + (b.local ? ' (this)' : '') },
      { head: 'ZONE', cell: (b) => b.zone ?? '', wide: true },
      { head: 'CONDITIONS', cell: conditions },
      { head: 'USED-FOR', cell: (b) => b.usedFor.join(',') },
      { head: 'NEW-FLOWS', cell: (b) => String(b.newFlows), align: 'right' },
      { head: 'ID', cell: (b) => String(b.id), wide: true, align: 'right' },
    ],
  });
}

function conditions(backend: BackendRow): string {
  const { ready, serving, terminating } = backend;
  const words = [ready ? 'ready' : 'not ready'];
  if (serving !== ready) words.push(serving ? 'serving' : 'not serving');
  if (terminating) words.push('terminating');
  return words.join(', ');
}
