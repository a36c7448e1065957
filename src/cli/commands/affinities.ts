import type { Command } from 'commander';
import type { CliEnvironment } from '../environment.js';
import { duration, hostPort } from '../output/text.js';
import { type AffinityRow, affinities } from '../views/rows.js';
import { addListCommand } from './read.js';

export function addAffinitiesCommand(program: Command, environment: CliEnvironment): void {
  addListCommand<AffinityRow>(program, environment, {
    name: 'affinities',
    summary: 'backends remembered for clients (sessionAffinity: ClientIP)',
    namespaced: true,
    view: affinities,
    columns: [
      { head: 'NAMESPACE', cell: (a) => a.namespace },
      { head: 'NAME', cell: (a) => a.name },
      { head: 'PORT', cell: (a) => a.portName },
      { head: 'CLIENT', cell: (a) => a.client },
      { head: 'BACKEND', cell: (a) => (a.backend ? hostPort(a.backend.ip, a.backend.port) : 'gone') },
      { head: 'IDLE', cell: (a) => duration(a.idleSeconds), align: 'right' },
      {
        head: 'EXPIRES-IN',
        cell: (a) => (a.expiresInSeconds > 0 ? duration(a.expiresInSeconds) : 'expired'),
        align: 'right',
      },
    ],
  });
}
