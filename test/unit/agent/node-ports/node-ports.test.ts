import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { type Listener, parseLine, readListeners } from '../../../../src/agent/node-ports/listeners.js';
import { type NodePort, takenNodePorts } from '../../../../src/agent/node-ports/taken.js';
import { NodePortWatch } from '../../../../src/agent/node-ports/watch.js';
import { desiredService } from '../../../support/desired.js';

const HEADING = '  sl  local_address rem_address   st tx_queue rx_queue';
const line = (local: string, remote: string, state: string) =>
  `   0: ${local} ${remote} ${state} 00000000:00000000`;
const NOBODY = '00000000:0000';

describe('listening sockets', () => {
  it.each<[string, Parameters<typeof parseLine>, Partial<Listener> | undefined]>([
    [
      'TCP on every address',
      [line('00000000:7580', NOBODY, '0A'), 'TCP', 4],
      { ip: undefined, port: 30_080 },
    ],
    ['TCP on one', [line('0B001EAC:7580', NOBODY, '0A'), 'TCP', 4], { ip: '172.30.0.11', port: 30_080 }],
    ['a TCP connection', [line('0B001EAC:7580', '64001EAC:C350', '01'), 'TCP', 4], undefined],
    ['UDP', [line('00000000:14E9', NOBODY, '07'), 'UDP', 4], { ip: undefined, port: 5353 }],
    ['connected UDP', [line('0100007F:14E9', '0100007F:0035', '01'), 'UDP', 4], undefined],
    [
      'IPv6',
      [line('300000FD000000000000000011000000:0050', `${'0'.repeat(32)}:0000`, '0A'), 'TCP', 6],
      { ip: 'fd00:30::11', port: 80 },
    ],
    ['no line of a table', ['nonsense', 'TCP', 4], undefined],
  ])('%s', (_, args, listener) => {
    const found = parseLine(...args);
    if (listener === undefined) expect(found).toBeUndefined();
    else expect(found).toMatchObject({ protocol: args[1], family: args[2], ...listener });
  });

  it('are read up to the first connection of TCP, and all of UDP', () => {
    const directory = mkdtempSync(join(tmpdir(), 'shunt-net-'));
    const many = Array.from({ length: 2000 }, (_, i) =>
      line(`00000000:${(i + 1000).toString(16).toUpperCase().padStart(4, '0')}`, NOBODY, '0A'),
    );
    const connection = line('0B001EAC:7580', '64001EAC:C350', '01');
    writeFileSync(join(directory, 'tcp'), [HEADING, ...many, connection, many[0], ''].join('\n'));
    writeFileSync(
      join(directory, 'udp'),
      [HEADING, connection, line('00000000:14E9', NOBODY, '07'), ''].join('\n'),
    );
    const found = readListeners(directory);
    rmSync(directory, { recursive: true });
    expect(found).toHaveLength(2001);
    expect(found[1999]).toMatchObject({ protocol: 'TCP', port: 2999 });
    expect(found[2000]).toMatchObject({ protocol: 'UDP', port: 5353 });
  });

  it('of this machine can be read', async () => {
    const { createServer } = await import('node:net');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    expect(readListeners()).toContainEqual({ protocol: 'TCP', family: 4, ip: '127.0.0.1', port });
    server.close();
  });
});

const nodePort = (fields: Partial<NodePort> = {}): NodePort => ({
  service: 'default/web',
  protocol: 'TCP',
  family: 4,
  port: 30_080,
  ...fields,
});
const listener = (fields: Partial<Listener> = {}): Listener => ({
  protocol: 'TCP',
  family: 4,
  ip: undefined,
  port: 30_080,
  ...fields,
});
const ADDRESSES = [
  { ip: '192.0.2.11', nodePorts: true },
  { ip: 'fd00::11', nodePorts: true },
  { ip: '10.9.0.1', nodePorts: false },
];

describe('NodePorts whose number is taken', () => {
  it.each<[string, NodePort, Listener, string | undefined]>([
    ['by a socket on every address', nodePort(), listener(), '0.0.0.0:30080'],
    ['by one on an address of the node', nodePort(), listener({ ip: '192.0.2.11' }), '192.0.2.11:30080'],
    ['not on an address that takes no NodePorts', nodePort(), listener({ ip: '10.9.0.1' }), undefined],
    ['not on loopback when that takes none', nodePort(), listener({ ip: '127.0.0.1' }), undefined],
    ['not by another port', nodePort(), listener({ port: 30_081 }), undefined],
    ['not by another protocol', nodePort(), listener({ protocol: 'UDP' }), undefined],
    ['by a socket on :: for IPv4 too', nodePort(), listener({ family: 6 }), '[::]:30080'],
    ['not by one on 0.0.0.0 for IPv6', nodePort({ family: 6 }), listener(), undefined],
    ['in IPv6', nodePort({ family: 6 }), listener({ family: 6, ip: 'fd00::11' }), '[fd00::11]:30080'],
  ])('%s', (_, wanted, socket, text) => {
    const found = takenNodePorts([wanted], [socket], ADDRESSES).map(({ listener: what }) => what);
    expect(found).toEqual(text === undefined ? [] : [text]);
  });

  it('are nowhere without an address that accepts NodePorts', () => {
    expect(takenNodePorts([nodePort()], [listener()], [{ ip: '192.0.2.11', nodePorts: false }])).toEqual([]);
  });

  it('count once for both families', () => {
    const both = [nodePort(), nodePort({ family: 6 })];
    expect(takenNodePorts(both, [listener({ family: 6 })], ADDRESSES)).toHaveLength(1);
  });
});

describe('the watch over them', () => {
  const address = { ip: '192.0.2.11', nodePorts: true, loopback: false, primary: true };
  const service = (port: number) =>
    desiredService({ frontends: [{ type: 'NodePort', ip: '*', port }], backends: ['10.1.0.2:80'] });

  function setup() {
    const state = { listeners: [listener()], reads: 0, warnings: [] as string[] };
    const watch = new NodePortWatch({
      readListeners: () => {
        state.reads++;
        return state.listeners;
      },
      onWarning: ({ object, message }) => state.warnings.push(`${object}: ${message}`),
      log: pino({ level: 'silent' }),
    });
    watch.setAddresses([address]);
    return { watch, state };
  }

  it('names Service, port, socket and what to do; looks when NodePorts change, and not for other changes', () => {
    const { watch, state } = setup();
    watch.written();
    expect(state.reads).toBe(0);
    const web = service(30_080);
    watch.changed({ upserts: [web], removals: [] });
    watch.written();
    expect(watch.taken).toBe(1);
    expect(state.warnings).toEqual([
      `Service ${web.namespace}/${web.name}: serve node port 30080/TCP: a process of this node listens on 0.0.0.0:30080 too, and the Service gets what is sent there (EADDRINUSE). find it with 'ss -lntp sport = :30080' and end it or have it listen elsewhere, or give the Service another nodePort`,
    ]);
    watch.changed({ upserts: [{ ...web, backends: [] }], removals: [] });
    watch.written();
    expect(state.reads).toBe(1);
    watch.changed({ upserts: [], removals: [web.id] });
    watch.written();
    expect(watch.taken).toBe(0);
  });

  it('finds a socket that came later at the next look, and that it went', () => {
    const { watch, state } = setup();
    state.listeners = [];
    watch.changed({ upserts: [service(30_080)], removals: [] });
    watch.written();
    expect(watch.taken).toBe(0);
    state.listeners = [listener()];
    watch.check();
    expect([watch.taken, state.warnings.length]).toEqual([1, 1]);
    state.listeners = [];
    watch.check();
    expect(watch.taken).toBe(0);
  });

  it('goes on when the tables cannot be read', () => {
    const watch = new NodePortWatch({
      readListeners: () => {
        throw new Error('EACCES');
      },
      onWarning: () => expect.unreachable(),
      log: pino({ level: 'silent' }),
    });
    watch.changed({ upserts: [service(30_080)], removals: [] });
    expect(() => watch.written()).not.toThrow();
  });
});
