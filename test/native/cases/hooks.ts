import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import {
  attachClsact,
  BpfLink,
  detachClsact,
  findClsact,
  LinkType,
  replaceClsact,
} from '../../../src/native/index.js';
import { type Case, run } from './context.js';
import { counter, ifindexOf, load, RECEIVED_HERE, refusal, send } from './traffic.js';

export const cases: Record<string, Case> = {
  async 'a program of another type is refused at each hook'(context) {
    using object = await load(context);
    const ifindex = await ifindexOf(context.device);
    const program = object.program('xdp_count');
    assert.equal(refusal(() => BpfLink.attachTcx({ ifindex, direction: 'ingress', program })).code, 'EINVAL');
    const tc = object.program('tc_one');
    assert.equal(refusal(() => BpfLink.attachXdp({ ifindex, program: tc, mode: 'native' })).code, 'EINVAL');
    assert.throws(() => BpfLink.attachTcx({ ifindex, direction: 'both', program } as never), TypeError);
    assert.throws(() => BpfLink.attachTcx({ ifindex: -1, direction: 'ingress', program }), RangeError);
  },

  async 'XDP in the driver and by the stack, one program per device'(context) {
    using object = await load(context);
    const ifindex = await ifindexOf(context.device);
    const program = object.program('xdp_count');
    for (const mode of ['native', 'generic'] as const) {
      using link = BpfLink.attachXdp({ ifindex, program, mode });
      assert.equal(link.info.type, LinkType.XDP);
      assert.equal(link.info.ifindex, ifindex);
      const [shown] = JSON.parse(run('ip', '-j', 'link', 'show', context.device));
      assert.equal(shown.xdp.mode, mode === 'native' ? 1 : 2);
      const before = counter(object, 2);
      context.peer(process.execPath, '-e', RECEIVED_HERE);
      assert.ok(counter(object, 2) > before);
      const second = refusal(() => BpfLink.attachXdp({ ifindex, program, mode }));
      assert.equal(second.code, 'EBUSY');
      assert.match(second.hint ?? '', /detach it first/);
    }
  },

  async 'native XDP where the driver has none (lo) says so'(context) {
    using object = await load(context);
    const error = refusal(() =>
      BpfLink.attachXdp({ ifindex: 1, program: object.program('xdp_count'), mode: 'native' }),
    );
    assert.equal(error.code, 'EOPNOTSUPP');
    assert.match(error.hint ?? '', /no native XDP/);
  },

  async 'a cgroup link decides over connect, and is replaced'(context) {
    using object = await load(context);
    const own = readOwnCgroup();
    writeFileSync(`${context.cgroup}/cgroup.procs`, String(process.pid));
    try {
      using link = BpfLink.attachCgroup({
        cgroupPath: context.cgroup,
        attachType: 'connect4',
        program: object.program('deny_connect4'),
      });
      assert.equal(link.info.type, LinkType.CGROUP);
      assert.equal(link.info.hook, 'connect4');
      assert.ok((link.info.cgroupId ?? 0n) > 0n);
      assert.equal(await connectError(), 'EPERM');
      assert.equal(counter(object, 6), 1);
      link.update(object.program('allow_connect4'));
      assert.equal(await connectError(), 'ECONNREFUSED');
      assert.equal(counter(object, 7), 1);
    } finally {
      writeFileSync(`${own}/cgroup.procs`, String(process.pid));
    }
  },

  async 'cgroup errors name the directory and the hook'(context) {
    using object = await load(context);
    const program = object.program('deny_connect4');
    const missing = refusal(() =>
      BpfLink.attachCgroup({ cgroupPath: '/nonexistent', attachType: 'connect4', program }),
    );
    assert.equal(
      missing.message,
      'attach program deny_connect4 to cgroup /nonexistent connect4: no such file or directory (ENOENT). ' +
        'No such cgroup: check that cgroup v2 is mounted and the path.',
    );
    const other = refusal(() =>
      BpfLink.attachCgroup({ cgroupPath: '/tmp', attachType: 'connect4', program }),
    );
    assert.equal(other.code, 'EBADF');
    assert.match(other.hint ?? '', /no cgroup v2 directory/);
    const hook = refusal(() =>
      BpfLink.attachCgroup({ cgroupPath: context.cgroup, attachType: 'connect6', program }),
    );
    assert.equal(hook.code, 'EINVAL');
  },

  async 'clsact filters are found again by handle, priority and tag, replaced and removed'(context) {
    using object = await load(context);
    const ifindex = await ifindexOf(context.device);
    const place = { ifindex, direction: 'egress' as const, handle: 7, priority: 11 };
    const one = object.program('tc_one');
    const two = object.program('tc_two');
    assert.equal(findClsact(place), undefined);
    assert.equal(detachClsact(place), false);
    const made = attachClsact({ ...place, program: one });
    assert.deepEqual(made, {
      handle: 7,
      priority: 11,
      progId: one.info.id,
      tag: one.info.tag,
      name: 'tc_one',
    });
    await send();
    assert.ok(counter(object, 0) > 0);
    const taken = refusal(() => attachClsact({ ...place, program: two }));
    assert.equal(taken.code, 'EEXIST');
    assert.match(taken.message, /^attach program tc_two to .* clsact egress handle 7 priority 11: /);
    assert.match(taken.hint ?? '', /replaceClsact/);

    assert.equal(replaceClsact({ ...place, program: two }).name, 'tc_two');
    assert.equal(findClsact({ ...place, tag: one.info.tag }), undefined);
    assert.equal(findClsact({ ...place, tag: two.info.tag })?.progId, two.info.id);
    assert.equal(findClsact({ ...place, handle: 8 }), undefined);
    assert.equal(findClsact({ ...place, direction: 'ingress' }), undefined);
    assert.equal(detachClsact({ ...place, tag: one.info.tag }), false);
    assert.equal(detachClsact({ ...place, tag: two.info.tag }), true);
    assert.equal(findClsact(place), undefined);
    const nowhere = refusal(() => attachClsact({ ...place, ifindex: 4242, program: one }));
    assert.match(nowhere.message, /ifindex 4242 clsact egress/);
  },

  async 'no descriptor stays when handles are closed'(context) {
    const count = () => readdirSync('/proc/self/fd').length;
    const object = await load(context);
    const ifindex = await ifindexOf(context.device);
    const before = count();
    for (let i = 0; i < 20; i++) {
      const link = BpfLink.attachTcx({ ifindex, direction: 'ingress', program: object.program('tc_one') });
      link.pin(`${context.pins}/again${i}`);
      const again = BpfLink.openPinned(`${context.pins}/again${i}`);
      again.detach();
      again.close();
      link.close();
      refusal(() => BpfLink.openPinned(`${context.pins}/none`));
    }
    assert.equal(count(), before);
    object.close();
  },
};

function readOwnCgroup(): string {
  const path = readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .find((line) => line.startsWith('0::'))
    ?.slice(3);
  const mount = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === 'cgroup2')
    ?.split(' ')[1];
  return `${mount}${path}`;
}

function connectError(): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(9, '127.0.0.1');
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.on('connect', () => resolve('connected'));
  });
}
