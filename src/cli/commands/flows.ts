import type { Command } from 'commander';
import type { CliEnvironment } from '../environment.js';
import { duration, hostPort } from '../output/text.js';
import { type FlowRow, flows } from '../views/rows.js';
import { addListCommand } from './read.js';

export function addFlowsCommand(program: Command, environment: CliEnvironment): void {
  addListCommand<FlowRow>(program, environment, {
    name: 'flows',
    summary: 'connections that are being translated',
    namespaced: true,
    view: flows,
    columns: [
      { head: 'PROTO', cell: (f) => f.protocol },
      { head: 'CLIENT', cell: (f) => hostPort(f.client.ip, f.client.port) },
      { head: 'FRONTEND', cell: (f) => hostPort(f.frontend.ip, f.frontend.port) },
      { head: 'BACKEND', cell: (f) => hostPort(f.backend.ip, f.backend.port) },
      { head: 'SNAT', cell: (f) => (f.snat ? hostPort(f.snat.ip, f.snat.port) : '') },
      { head: 'SERVICE', cell: (f) => (f.namespace ? `${f.namespace}/${f.name}` : f.name) },
      { head: 'STATE', cell: (f) => f.state },
      { head: 'WAY', cell: (f) => f.way },
      { head: 'AGE', cell: (f) => duration(f.ageSeconds), align: 'right' },
      { head: 'IDLE', cell: (f) => duration(f.idleSeconds), align: 'right' },
      { head: 'PACKETS', cell: (f) => String(f.packets), wide: true, align: 'right' },
      { head: 'BYTES', cell: (f) => String(f.bytes), wide: true, align: 'right' },
      { head: 'REPLY-PACKETS', cell: (f) => String(f.replyPackets), wide: true, align: 'right' },
      { head: 'REPLY-BYTES', cell: (f) => String(f.replyBytes), wide: true, align: 'right' },
    ],
  });
}
