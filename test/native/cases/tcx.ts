import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BpfLink, LinkType, queryTcx } from '../../../src/native/index.js';
import { type Case, run } from './context.js';
import { counter, ifindexOf, load, refusal, send, setCounter } from './traffic.js';

export const cases: Record<string, Case> = {
  async 'a tcx link counts packets, and closing it detaches'(context) {
    using object = await load(context);
    const ifindex = await ifindexOf(context.device);
    const link = BpfLink.attachTcx({ ifindex, direction: 'egress', program: object.program('tc_one') });
    assert.equal(link.info.type, LinkType.TCX);
    assert.equal(link.info.ifindex, ifindex);
    assert.equal(link.info.hook, 'egress');
    assert.equal(link.info.progId, object.program('tc_one').info.id);
    await send();
    const seen = counter(object, 0);
    assert.ok(seen > 0);
    link.close();
    link.close();
    await send();
    assert.equal(counter(object, 0), seen);
  },

  async 'tcx positions: first runs before last, and before and after an anchor'(context) {
    using object = await load(context);
    const ifindex = await ifindexOf(context.device);
    const one = object.program('tc_one');
    const two = object.program('tc_two');
    const order = async () => {
      setCounter(object, 8, 0n);
      setCounter(object, 9, 0n);
      setCounter(object, 10, 0n);
      await send();
      return counter(object, 8) < counter(object, 9) ? 'one two' : 'two one';
    };
    const at = { ifindex, direction: 'egress' as const };
    const base = BpfLink.attachTcx({ ...at, program: one });
    const first = BpfLink.attachTcx({ ...at, program: two, position: 'first' });
    assert.equal(await order(), 'two one');
    first.close();
    const last = BpfLink.attachTcx({ ...at, program: two, position: 'last' });
    assert.equal(await order(), 'one two');
    last.close();
    const before = BpfLink.attachTcx({ ...at, program: two, position: { before: base } });
    assert.equal(await order(), 'two one');
    before.close();
    const after = BpfLink.attachTcx({ ...at, program: two, position: { after: base } });
    assert.equal(await order(), 'one two');
    after.close();
    base.close();
  },

  async 'a pinned link outlives its handle, is replaced atomically and detached'(context) {
    using object = await load(context);
    const ifindex = await ifindexOf(context.device);
    const pin = `${context.pins}/link`;
    const made = BpfLink.attachTcx({ ifindex, direction: 'egress', program: object.program('tc_one') });
    const { id } = made.info;
    made.pin(pin);
    made.close();
    await send();
    assert.ok(counter(object, 0) > 0);

    using link = BpfLink.openPinned(pin);
    assert.equal(link.info.id, id);
    link.update(object.program('tc_two'));
    assert.equal(link.info.progId, object.program('tc_two').info.id);
    const old = counter(object, 0);
    await send();
    assert.equal(counter(object, 0), old);
    assert.ok(counter(object, 1) > 0);

    const wrong = refusal(() => link.update(object.program('tc_one'), object.program('tc_one')));
    assert.equal(wrong.code, 'EPERM');
    link.update(object.program('tc_one'), object.program('tc_two'));

    link.detach();
    link.detach();
    assert.equal(link.info.ifindex, 0);
    const gone = refusal(() => link.update(object.program('tc_two')));
    assert.equal(gone.code, 'ENOLINK');
    assert.match(gone.message, /^replace pinned link .* with program tc_two: /);
  },

  async 'a link that lost its pin is found by its id while somebody holds it, and can be pinned again'(
    context,
  ) {
    using object = await load(context);
    const ifindex = await ifindexOf(context.device);
    const pin = `${context.pins}/held`;
    const at = { ifindex, direction: 'egress' as const };
    const holder = BpfLink.attachTcx({ ...at, program: object.program('tc_one') });
    const { id, progId } = holder.info;
    const twice = refusal(() => BpfLink.attachTcx({ ...at, program: object.program('tc_one') }));
    assert.equal(twice.code, 'EEXIST');
    assert.deepEqual(queryTcx(ifindex, 'egress'), [{ progId, linkId: id }]);
    const found = BpfLink.openById(id);
    assert.deepEqual(found.info, holder.info);
    found.pin(pin);
    found.close();
    holder.close();
    const seen = counter(object, 0);
    await send();
    assert.ok(counter(object, 0) > seen);
    rmSync(pin);
    for (let i = 0; i < 400 && queryTcx(ifindex, 'egress').length > 0; i++) await sleep(5);
    const gone = refusal(() => BpfLink.openById(id));
    assert.equal(gone.code, 'ENOENT');
    assert.match(gone.message, /^open link id \d+: /);
  },

  async 'a link whose device is deleted becomes an empty shell'(context) {
    using object = await load(context);
    run('ip', 'link', 'add', 'gone0', 'type', 'veth', 'peer', 'name', 'gone1');
    using link = BpfLink.attachTcx({
      ifindex: await ifindexOf('gone0'),
      direction: 'ingress',
      program: object.program('tc_one'),
    });
    run('ip', 'link', 'del', 'gone0');
    assert.equal(link.info.ifindex, 0);
    link.detach();
  },

  async 'attaching to a device that does not exist names it'(context) {
    using object = await load(context);
    const tcx = refusal(() =>
      BpfLink.attachTcx({ ifindex: 4242, direction: 'ingress', program: object.program('tc_one') }),
    );
    assert.equal(
      tcx.message,
      'attach program tc_one to ifindex 4242 tcx ingress: no such device (ENODEV). ' +
        'No such device in this network namespace; it may have been deleted meanwhile.',
    );
    const xdp = refusal(() =>
      BpfLink.attachXdp({ ifindex: 4242, program: object.program('xdp_count'), mode: 'generic' }),
    );
    assert.equal(xdp.code, 'EINVAL');
    assert.match(xdp.message, /^attach program xdp_count to ifindex 4242 xdp \(generic\): /);
    assert.match(xdp.hint ?? '', /the device does not exist/);
  },
};
