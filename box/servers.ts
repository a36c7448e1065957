/** Starts podserver in a place and waits until it listens. */
import { toolPath } from './paths.js';
import { BoxProcess, type Place } from './process.js';

export interface ServeOptions {
  /** What it calls itself in its answers. Default: the name of the place. */
  name?: string;
  /** TCP ports that answer HTTP. Default [8080]. */
  http?: number[];
  /** SCTP ports that answer HTTP. Default none. */
  sctp?: number[];
  /** UDP ports. Default [9000]. */
  udp?: number[];
  /** Default: all addresses of both families. */
  bind?: string;
}

export async function startServer(place: Place, options: ServeOptions = {}): Promise<BoxProcess> {
  const argv = [toolPath('podserver'), '--name', options.name ?? place.name];
  for (const port of options.http ?? [8080]) argv.push('--http', String(port));
  for (const port of options.sctp ?? []) argv.push('--sctp', String(port));
  for (const port of options.udp ?? [9000]) argv.push('--udp', String(port));
  if (options.bind !== undefined) argv.push('--bind', options.bind);
  const server = new BoxProcess(place, argv);
  try {
    await server.waitForLine(/"event":"ready"/, 10_000);
  } catch (error) {
    server.kill('SIGKILL');
    throw error;
  }
  return server;
}
