import { beforeEach, describe, expect, it } from 'vitest';
import { parseConntrackLine } from '../../../src/takeover/conntrack.js';
import { parseServers } from '../../../src/takeover/ipvs.js';
import { parseMap } from '../../../src/takeover/nftables.js';
import { giveBack, takeOver } from '../../../src/takeover/perform.js';
import { onlyShunts, planDo, planUndo } from '../../../src/takeover/plan.js';
import { whoAnswers } from '../../../src/takeover/probe.js';
import { survey } from '../../../src/takeover/survey.js';
import { FakeMachine, FakeShunt, WEB } from './machine.js';

const SAVE = `*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -p tcp -j ACCEPT
-A KUBE-SERVICES -d 10.96.1.1/32 -p tcp -m comment --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-AAAAAAAAAAAAAAAA
COMMIT
`;
const CLEAN = '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j ACCEPT\nCOMMIT\n';
const OLD =
  'tcp      6 431999 ESTABLISHED src=10.244.1.10 dst=10.96.1.1 sport=40000 dport=80 src=10.244.2.10 dst=10.244.1.10 sport=8080 dport=40000 [ASSURED] mark=0 use=1\n';
const OPTIONS = { acceptForward: false, clusterCidrs: [], acceptMissing: false };

let machine: FakeMachine;
let shunt: FakeShunt;
let rules: string;
let old: string;

beforeEach(() => {
  machine = new FakeMachine();
  shunt = new FakeShunt();
  rules = SAVE;
  old = OLD;
  machine.programs = {
    'iptables-nft-save': () => rules,
    'ip6tables-nft-save': '',
    'iptables-nft-restore': () => {
      rules = CLEAN;
      return '';
    },
    nft: '',
    conntrack: (argv) => (argv.includes('ipv4') ? old : ''),
  };
});

const plan = async (o = OPTIONS) => planDo(await survey(machine, shunt), o);

describe('what stands against it', () => {
  it('nothing', async () => {
    const { verdict, refusals, steps } = await plan();
    expect([verdict, refusals]).toEqual(['ready', []]);
    expect(steps[0]).toContain('now: 1 TCP');
  });

  it('kube-proxy answers on its ports', async () => {
    machine.answers = {
      '10249/proxyMode': { status: 200, body: 'iptables' },
      '10256/healthz': { status: 200, body: '{"lastUpdated": "x","currentTime": "y"}' },
    };
    const { verdict, refusals } = await plan();
    expect(verdict).toBe('refused');
    expect(refusals[0]).toMatch(/kube-proxy in iptables mode answers on port 10249 \(EBUSY\)/);
    expect(refusals[1]).toMatch(/port 10256/);
  });

  it('Shunt on those ports does not', async () => {
    machine.answers = {
      '10249/proxyMode': { status: 200, body: 'iptables' },
      '10249/shunt': { status: 200, body: 'shunt\n' },
      '10256/healthz': { status: 200, body: '{"lastUpdated": "x","currentTime": "y"}' },
      '10256/shunt': { status: 200, body: 'shunt\n' },
    };
    expect((await whoAnswers(machine)).map(({ who }) => who)).toEqual(['shunt', 'shunt']);
    expect((await plan()).verdict).toBe('ready');
  });

  it.each([
    ['no data path', undefined, /no data path of Shunt's is pinned/],
    ['an agent that has ended', { agentSeenSeconds: 99 }, /agent does not run, last seen 99 s ago/],
    ['an agent that was never there', { agentSeenSeconds: null }, /never seen/],
    ['no hook', { hooks: 0 }, /none of Shunt's programs is attached/],
    [
      'a Service that is not served',
      { ports: [] },
      /1 of its 1 Service ports are not Shunt's \(default\/web 10\.96\.1\.1:80\/TCP\)/,
    ],
  ])('%s', async (_name, state, text) => {
    shunt.state = state;
    const { verdict, refusals } = await plan();
    expect(verdict).toBe('refused');
    expect(refusals.join('\n')).toMatch(text);
  });

  it('a missing Service may be accepted', async () => {
    shunt.state = { ports: [] };
    expect(await plan({ ...OPTIONS, acceptMissing: true })).toMatchObject({
      verdict: 'ready',
      warnings: [expect.stringMatching(/end with its rules/)],
    });
  });

  it('programs that are not installed', async () => {
    delete machine.programs['iptables-nft-save'];
    delete machine.programs.nft;
    expect((await plan()).verdict).toBe('refused');
    expect((await survey(machine, shunt)).blind[0]).toMatch(/there is no iptables-nft-save here/);
  });

  it('legacy tables are looked at only where the kernel has some', async () => {
    await plan();
    expect(machine.ran.some(({ argv }) => argv[0]?.includes('legacy'))).toBe(false);
    machine.files['/proc/net/ip_tables_names'] = 'nat\n';
    machine.programs['iptables-legacy-save'] = SAVE;
    expect((await survey(machine, shunt)).own.map(({ set }) => set.backend)).toEqual(['nft', 'legacy']);
  });
});

describe('--do', () => {
  const run = async (said: string[] = []) => {
    const s = await survey(machine, shunt);
    return takeOver(machine, shunt, s, { ...OPTIONS, watchSeconds: 3, waitSeconds: 3 }, (text) =>
      said.push(text),
    );
  };
  const writes = () => machine.ran.filter(({ input }) => input !== '').map(({ argv }) => argv.join(' '));

  it('serves first, keeps translation going, removes then, and leaves old connections', async () => {
    const result = await run();
    expect(shunt.calls).toEqual(['drain false', `takeover ${5 * 24 * 3600}`]);
    expect(writes()).toEqual(['nft -f -', 'iptables-nft-restore --noflush -w 30', 'nft -f -']);
    expect(result).toMatchObject({ cameBack: false, changed: [], oldFlows: { tcp: 1 } });
  });

  it('ends when the last old connection is gone', async () => {
    const said: string[] = [];
    machine.programs.conntrack = () => (machine.now() < 5000 ? OLD : '');
    expect(await run(said)).toMatchObject({ oldFlows: { tcp: 0, udp: 0 } });
    expect(said.at(-1)).toBe('the last old connection is gone');
    expect(shunt.calls.at(-1)).toBe('takeover 0');
  });

  it('keeps nf_nat going as long as any connection is translated', async () => {
    const said: string[] = [];
    const clash = OLD.replace('dst=10.96.1.1', 'dst=10.244.2.10');
    machine.programs['nft list tables'] = 'table ip shunt-takeover\n';
    machine.programs.conntrack = (argv) => (argv.includes('--any-nat') && argv.includes('ipv4') ? clash : '');
    await run(said);
    expect(said.at(-1)).toBe('table shunt-takeover stays: 1 connections may depend on nf_nat');
    machine.programs.conntrack = '';
    await run(said);
    expect(said.at(-1)).toBe('removed table shunt-takeover');
  });

  it('notices rules that come back', async () => {
    machine.programs['iptables-nft-save'] = () => (machine.now() > 1500 ? SAVE : rules);
    expect((await run()).cameBack).toBe(true);
  });

  it("notices that another's rule has changed meanwhile", async () => {
    machine.programs['iptables-nft-restore'] = () => {
      rules = CLEAN.replace('-p tcp', '-p udp');
      return '';
    };
    expect((await run()).changed).toEqual([
      'iptables-nft, IPv4: - nat -A PREROUTING -p tcp -j ACCEPT',
      'iptables-nft, IPv4: + nat -A PREROUTING -p udp -j ACCEPT',
    ]);
  });

  it('shows the line that the kernel refused', async () => {
    machine.programs['iptables-nft-restore'] = () => ({
      code: 4,
      stdout: '',
      stderr: 'iptables-restore: line 2 failed',
    });
    await expect(run()).rejects.toThrow(
      /line 2 failed' \(exit code 4\)\. At: -D PREROUTING .* -j KUBE-SERVICES/,
    );
  });
});

describe('--undo', () => {
  it('needs the rules of kube-proxy, all of them', async () => {
    rules = CLEAN;
    expect(planUndo(await survey(machine, shunt), OPTIONS)).toMatchObject({
      verdict: 'refused',
      refusals: [expect.stringMatching(/start kube-proxy/)],
    });
    rules = SAVE;
    expect(planUndo(await survey(machine, shunt), OPTIONS).verdict).toBe('ready');
    shunt.state = { ports: [{ family: 4, ip: '10.96.9.9', port: 80, protocol: 'TCP' }] };
    expect(planUndo(await survey(machine, shunt), OPTIONS).refusals[0]).toMatch(/10\.96\.9\.9:80\/TCP/);
  });

  it('names the Services that only Shunt serves, each once, and the ways out', async () => {
    const port = (service: string, n: number) => ({ ...WEB, service, port: n });
    const many = Array.from({ length: 6 }, (_, i) => port(`default/other-${i}`, 5000 + i));
    shunt.state = { ports: [WEB, ...[1, 2, 3].map((n) => port('lab/mine', n)), ...many] };
    const s = await survey(machine, shunt);
    const { verdict, refusals } = planUndo(s, OPTIONS);
    expect([verdict, refusals.length]).toEqual(['refused', 1]);
    expect(refusals[0]).toBe(
      "give Services back: 9 of Shunt's 10 Service ports are not in kube-proxy's rules " +
        '(lab/mine 10.96.1.1:1/TCP 10.96.1.1:2/TCP, default/other-0 10.96.1.1:5000/TCP, default/other-1 10.96.1.1:5001/TCP, ' +
        'default/other-2 10.96.1.1:5002/TCP, default/other-3 10.96.1.1:5003/TCP, and 2 more; all of them with -o json). ' +
        'wait until kube-proxy has written all. it leaves Services with label service.kubernetes.io/service-proxy-name alone: ' +
        'take the label away, or pass --accept-missing, and nobody serves them afterwards',
    );
    expect(onlyShunts(s)).toHaveLength(9);
    expect(planUndo(s, { ...OPTIONS, acceptMissing: true })).toMatchObject({
      verdict: 'ready',
      warnings: [expect.stringMatching(/lab\/mine.*nobody serves them afterwards/)],
    });
  });

  const undo = async (o: { waitSeconds: number; force: boolean }) =>
    giveBack(machine, shunt, await survey(machine, shunt), o, () => {});

  it('reserves the ports of live flows, drains, and does not detach while they live', async () => {
    shunt.state = {
      flows: { tcp: 2, udp: 0, sctp: 0 },
      ownTuples: [
        {
          protocol: 'TCP',
          source: { ip: '172.30.0.11', port: 12345 },
          endpoint: { ip: '10.244.2.10', port: 8080 },
        },
      ],
    };
    expect(await undo({ waitSeconds: 2, force: false })).toMatchObject({
      detached: false,
      next: expect.stringMatching(/--force/),
    });
    expect(shunt.calls).toEqual(['drain true']);
    expect(machine.ran.find(({ argv }) => argv[1] === '-I')?.argv.join(' ')).toBe(
      'conntrack -I -p tcp -s 172.30.0.11 -d 10.244.2.10 --sport 12345 --dport 8080 -t 86400 -m 0x5348554e --state ESTABLISHED',
    );
  });

  it('detaches when they are gone, or by force', async () => {
    expect(await undo({ waitSeconds: 0, force: false })).toMatchObject({ detached: true });
    shunt.state = { flows: { tcp: 2, udp: 0, sctp: 0 } };
    expect(await undo({ waitSeconds: 0, force: true })).toMatchObject({ detached: true });
  });

  it('hands datagrams over and lets answers come in before it detaches by force', async () => {
    shunt.state = { flows: { tcp: 0, udp: 2, sctp: 0 } };
    const before = machine.now();
    expect(await undo({ waitSeconds: 0, force: true })).toMatchObject({ detached: true });
    expect(shunt.calls).toEqual(['drain true', 'hand over', 'clean up']);
    expect(machine.now() - before).toBeGreaterThanOrEqual(1000);
  });

  it('leaves the programs where they are while an agent holds them', async () => {
    shunt.handOverAnswer = 'end the agent';
    shunt.state = { flows: { tcp: 0, udp: 2, sctp: 0 } };
    expect(await undo({ waitSeconds: 0, force: true })).toMatchObject({
      detached: false,
      next: 'end the agent',
    });
    expect(shunt.calls).toEqual(['drain true', 'hand over']);
  });

  it('drains again when an agent has begun during the hand-over', async () => {
    shunt.cleanUpAnswer = 'end the agent';
    shunt.state = { flows: { tcp: 0, udp: 2, sctp: 0 } };
    expect(await undo({ waitSeconds: 0, force: true })).toMatchObject({
      detached: false,
      next: 'end the agent',
    });
    expect(shunt.calls).toEqual(['drain true', 'hand over', 'clean up', 'drain true']);
  });
});

describe('what others print', () => {
  it('conntrack lines', () => {
    expect(parseConntrackLine(OLD)).toMatchObject({
      protocol: 'TCP',
      ip: '10.96.1.1',
      port: 80,
      replyFrom: '10.244.2.10',
    });
    expect(parseConntrackLine(OLD.replace('ESTABLISHED', 'TIME_WAIT'))).toBeUndefined();
    expect(
      parseConntrackLine(OLD.replace('src=10.244.2.10', 'src=10.96.1.1').replace('sport=8080', 'sport=80')),
    ).toBeUndefined();
    const proc = `ipv4     2 ${OLD.replace('tcp ', 'udp ').replace('ESTABLISHED ', '')}`;
    expect(parseConntrackLine(proc)).toMatchObject({ protocol: 'UDP', clientPort: 40000 });
  });

  it('nft maps', () => {
    const json =
      '{"nftables":[{"metainfo":{}},{"map":{"name":"service-ips","elem":[[{"concat":["10.96.1.1","tcp",80]},{"goto":{"target":"service-AAAAAAA2-default/web/tcp/http"}}]]}}]}';
    const web = { ip: '10.96.1.1', protocol: 'TCP', port: 80, service: 'default/web' };
    expect(parseMap(json)).toEqual([web]);
    const ports = '{"nftables":[{"map":{"elem":[[{"concat":["udp",30053]},{"goto":{"target":"x"}}]]}}]}';
    expect(parseMap(ports)).toEqual([{ ip: '*', protocol: 'UDP', port: 30053 }]);
    expect(parseMap('{"nftables":[{"map":{"name":"service-ips"}}]}')).toEqual([]);
  });

  it('ipvs servers', () => {
    const saved =
      '-A -t 10.96.0.1:443 -s rr\n-a -t 10.96.0.1:443 -r 10.0.0.1:6443 -m\n-A -u [fd00::1]:53 -s rr\n-A -t 192.0.2.1:80 -s wlc\n';
    expect(parseServers(saved, (ip) => ip !== '192.0.2.1')).toEqual(['-t 10.96.0.1:443', '-u [fd00::1]:53']);
  });

  it('an ipvs node is found by device and sets, and refused without its tools', async () => {
    machine.links = async () => [{ ifindex: 9, name: 'kube-ipvs0' } as never];
    rules = CLEAN;
    const s = await survey(machine, shunt);
    expect(s.ipvs).toMatchObject({ device: true, missing: ['ipset', 'ipvsadm'] });
    expect(planDo(s, OPTIONS)).toMatchObject({
      verdict: 'refused',
      refusals: [expect.stringMatching(/no ipset/), expect.stringMatching(/no ipvsadm/)],
    });
  });
});
