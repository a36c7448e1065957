import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LostProgram } from '../../../src/agent/attached.js';
import { newCounters } from '../../../src/agent/counters.js';
import { Guard, type GuardOptions } from '../../../src/agent/guard.js';

const INGRESS: LostProgram = { ifindex: 2, device: 'eth0', hook: 'tc_ingress' };

function setup() {
  const lines: { level: number; msg: string; map?: string[]; hook?: string[]; program?: string[] }[] = [];
  const state = {
    pins: [] as string[],
    hooks: [] as string[],
    programs: [] as LostProgram[],
    broken: '',
    refused: [] as string[],
    kernel: 'attached' as ReturnType<GuardOptions['stateOf']>,
  };
  const done: string[] = [];
  const counters = newCounters();
  const guard = new Guard({
    restorePins: () => {
      if (state.broken) throw new Error(state.broken);
      return state.pins.splice(0);
    },
    lostSocketHooks: () => state.hooks,
    attachSocketHooks: () => {
      done.push('socket hooks');
      state.hooks = state.hooks.filter((hook) => state.refused.includes(hook));
    },
    lostPrograms: () => state.programs,
    attachPrograms: (lost) => {
      done.push(...lost.map(({ hook, device }) => `${hook}@${device}`));
      state.programs = [];
    },
    stateOf: () => state.kernel,
    counters,
    log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    settleMs: 100,
  });
  return { guard, state, done, counters, lines };
}

const settled = () => vi.advanceTimersByTime(250);

describe('Guard', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('says nothing while everything is there', () => {
    const { guard, lines, done } = setup();
    guard.check();
    settled();
    expect([lines, done]).toEqual([[], []]);
  });

  it('puts back what was taken away, names and counts it', () => {
    const { guard, state, done, counters, lines } = setup();
    Object.assign(state, { pins: ['ct_flows', 'lb_slots'], hooks: ['sk_connect4'], programs: [INGRESS] });
    guard.check();
    settled();
    expect(done).toEqual(['socket hooks', 'tc_ingress@eth0']);
    expect(counters.restored).toBe(4);
    expect(lines.map(({ map, hook, program }) => map ?? hook ?? program)).toEqual([
      ['ct_flows', 'lb_slots'],
      ['sk_connect4'],
      ['tc_ingress@eth0'],
    ]);
    expect(lines.every(({ msg }) => /there again|attached again.*look for who removes them/.test(msg))).toBe(
      true,
    );
  });

  it('says that a program is back only when it is, even if that takes another round', () => {
    const { guard, state, done, counters, lines } = setup();
    Object.assign(state, { programs: [INGRESS], kernel: 'missing' });
    guard.check();
    settled();
    expect([lines, counters.restored]).toEqual([[], 0]);
    state.kernel = 'attached';
    vi.advanceTimersByTime(10_000);
    expect(lines.map(({ program }) => program)).toEqual([['tc_ingress@eth0']]);
    expect([done, counters.restored]).toEqual([['tc_ingress@eth0'], 1]);
  });

  it('forgets a program whose device has gone before it could be attached again', () => {
    const { guard, state, counters, lines } = setup();
    Object.assign(state, { programs: [INGRESS], kernel: 'missing' });
    guard.check();
    settled();
    for (const kernel of ['gone', 'attached']) {
      Object.assign(state, { kernel });
      vi.advanceTimersByTime(10_000);
      guard.check();
    }
    expect([lines, counters.restored]).toEqual([[], 0]);
  });

  it('names only those socket hooks that are back', () => {
    const { guard, state, counters, lines } = setup();
    Object.assign(state, { hooks: ['sk_connect4', 'sk_connect6'], refused: ['sk_connect6'] });
    guard.check();
    expect(lines.map(({ hook }) => hook)).toEqual([['sk_connect4']]);
    state.refused = [];
    settled();
    expect(lines.map(({ hook }) => hook)).toEqual([['sk_connect4'], ['sk_connect6']]);
    expect(counters.restored).toBe(2);
  });

  it('looks again soon after it found something: who removes may not be done', () => {
    const { guard, state, lines } = setup();
    state.hooks = ['sk_connect4'];
    guard.check();
    state.pins = ['ct_flows'];
    state.programs = [INGRESS];
    vi.advanceTimersByTime(350);
    expect(lines.map(({ map, hook, program }) => map ?? hook ?? program)).toEqual([
      ['sk_connect4'],
      ['ct_flows'],
      ['tc_ingress@eth0'],
    ]);
  });

  it('waits longer and longer for what does not come back, at most one period', () => {
    const { guard, state, done } = setup();
    Object.assign(state, { hooks: ['sk_connect4'], refused: ['sk_connect4'] });
    guard.check();
    vi.advanceTimersByTime(100 + 200 + 400 + 800 + 1600 + 3200);
    expect(done).toHaveLength(7);
    vi.advanceTimersByTime(10_000);
    expect(done).toHaveLength(9);
    guard.stop();
    vi.advanceTimersByTime(10_000);
    expect(done).toHaveLength(9);
  });

  it('hurries again when something else goes while it waits for what does not come back', () => {
    const { guard, state, done } = setup();
    Object.assign(state, { hooks: ['sk_connect4'], refused: ['sk_connect4'] });
    guard.check();
    vi.advanceTimersByTime(60_000);
    state.programs = [INGRESS];
    vi.advanceTimersByTime(5100);
    expect(done).toContain('tc_ingress@eth0');
  });

  it('a part that fails keeps no other from its work, and is tried again soon', () => {
    const { guard, state, done, lines } = setup();
    Object.assign(state, { broken: 'no such directory', programs: [INGRESS] });
    guard.check();
    settled();
    expect(done).toEqual(['tc_ingress@eth0']);
    Object.assign(state, { broken: '', pins: ['ct_flows'] });
    vi.advanceTimersByTime(500);
    expect(lines.map(({ msg, program, map }) => program ?? map ?? msg)).toEqual([
      'look after pins: no such directory',
      ['tc_ingress@eth0'],
      ['ct_flows'],
    ]);
  });

  it('looks by itself from start to stop, and not afterwards', () => {
    const { guard, state, done } = setup();
    guard.start();
    state.hooks = ['sk_connect4'];
    vi.advanceTimersByTime(4999);
    expect(done).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(done).toEqual(['socket hooks']);
    guard.stop();
    state.hooks = ['sk_connect4'];
    vi.advanceTimersByTime(60_000);
    expect(done).toEqual(['socket hooks']);
  });

  it('does not take a device that goes for a thief', () => {
    const { guard, state, done, counters } = setup();
    state.programs = [INGRESS];
    guard.check();
    state.programs = [];
    settled();
    expect([done, counters.restored]).toEqual([[], 0]);
  });

  it('says once what it cannot mend, and again when it comes back', () => {
    const { guard, state, lines } = setup();
    state.broken = 'open /p: not on a BPF file system (EINVAL). Mount one.';
    guard.check();
    guard.check();
    expect(lines.map(({ msg }) => msg)).toEqual([`look after pins: ${state.broken}`]);
    const { broken } = state;
    state.broken = '';
    guard.check();
    state.broken = broken;
    guard.check();
    expect(lines).toHaveLength(2);
  });
});
