import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Backoff } from '../../../src/kube/backoff.js';
import { KubeConfigError, loadKubeConfig } from '../../../src/kube/kube-config.js';
import { LineDecoder } from '../../../src/kube/line-decoder.js';
import { WarningGate } from '../../../src/kube/warning-gate.js';
import type { Warning } from '../../../src/model/objects.js';
import { renderKubeconfig } from '../../support/api-server/index.js';

describe('LineDecoder', () => {
  it('gives the same lines however the bytes are cut', () => {
    const line = fc.string({ unit: 'grapheme' }).filter((text) => text !== '' && !text.includes('\n'));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.integer({ min: 1, max: 7 })), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(''));
        const decoder = new LineDecoder();
        const result: string[] = [];
        let at = 0;
        for (let i = 0; at < bytes.length; i++) {
          const length = cuts[i % Math.max(1, cuts.length)] ?? bytes.length;
          result.push(...decoder.push(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(result).toEqual(lines);
        expect(decoder.pendingBytes).toBe(0);
      }),
    );
  });

  it('holds back an incomplete line and skips empty ones', () => {
    const decoder = new LineDecoder();
    expect(decoder.push(Buffer.from('\n\na\nb'))).toEqual(['a']);
    expect(decoder.pendingBytes).toBe(1);
  });
});

describe('Backoff', () => {
  it('doubles up to the cap, and begins anew after a reset', () => {
    const backoff = new Backoff({ baseMs: 100, capMs: 1000, random: () => 0.5 });
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([100, 200, 400, 800, 1000, 1000]);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  it('spreads by half each way and never beyond the cap', () => {
    const low = new Backoff({ baseMs: 100, capMs: 150, random: () => 0 });
    const high = new Backoff({ baseMs: 100, capMs: 120, random: () => 0.999 });
    expect([low.next(), low.next()]).toEqual([50, 75]);
    expect([high.next(), high.next()]).toEqual([120, 120]);
  });

  it('survives very many failures', () => {
    const backoff = new Backoff({ baseMs: 1, capMs: 5, random: () => 0.5 });
    for (let i = 0; i < 5000; i++) backoff.next();
    expect(backoff.next()).toBe(5);
  });
});

describe('WarningGate', () => {
  function gate(): { told: Warning[]; at: (ms: number) => void; gate: WarningGate } {
    const told: Warning[] = [];
    let now = 0;
    const made = new WarningGate({ repeatMs: 100, minimumMs: 10, now: () => now }, (warning) =>
      told.push(warning),
    );
    return { told, at: (ms) => (now = ms), gate: made };
  }
  const warning = { object: 'o', field: '', message: 'm' };

  it('tells at once, then not until the time is over', () => {
    const { told, at, gate: g } = gate();
    for (const ms of [0, 1, 99, 100, 101]) {
      at(ms);
      g.warn('k', warning);
    }
    expect(told).toHaveLength(2);
    g.warn('other', warning);
    expect(told).toHaveLength(3);
  });

  it('tells a new outage sooner', () => {
    const { told, at, gate: g } = gate();
    g.warn('k', warning);
    expect(g.recovered((key) => key === 'k')).toBe(true);
    expect(g.recovered((key) => key === 'k')).toBe(false);
    for (const ms of [5, 9, 10, 11]) {
      at(ms);
      g.warn('k', warning);
    }
    expect(told).toHaveLength(2);
  });
});

describe('loadKubeConfig', () => {
  const directory = mkdtempSync(join(tmpdir(), 'shunt-kubeconfig-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  function failure(text: string | undefined): string {
    const path = join(directory, 'config');
    if (text !== undefined) writeFileSync(path, text);
    try {
      loadKubeConfig(text === undefined ? join(directory, 'absent') : path);
    } catch (error) {
      expect(error).toBeInstanceOf(KubeConfigError);
      return (error as Error).message.replaceAll(directory, 'DIR');
    }
    return 'no error';
  }
  const good = JSON.parse(renderKubeconfig({ server: 'https://127.0.0.1:6443' }));

  it.each<[string, string | undefined, string]>([
    [
      'a missing file',
      undefined,
      'read kubeconfig DIR/absent: no such file (ENOENT). Give the path of a readable kubeconfig file with --kubeconfig',
    ],
    ['an empty file', ' \n', 'read kubeconfig DIR/config: is empty (EINVAL). Write one'],
    [
      'users that are no list',
      JSON.stringify({ ...good, users: 5 }),
      'read kubeconfig DIR/config: not a kubeconfig: users must be a list',
    ],
    [
      'a certificate that is none',
      JSON.stringify({
        ...good,
        clusters: [
          { name: 'test', cluster: { server: 'https://10.0.0.1', 'certificate-authority-data': '!!!' } },
        ],
      }),
      'read kubeconfig DIR/config: its certificate-authority-data is no PEM in base64 (EINVAL). ',
    ],
    ['broken YAML', 'a: [', 'read kubeconfig DIR/config: not a kubeconfig: '],
    ['something else', 'kind: Pod', 'read kubeconfig DIR/config: has no current-context (EINVAL). '],
    [
      'an unknown context',
      JSON.stringify({ ...good, 'current-context': 'x' }),
      'read kubeconfig DIR/config: current-context x is not among its contexts (EINVAL). ',
    ],
    [
      'an unknown cluster',
      JSON.stringify({ ...good, clusters: [] }),
      'read kubeconfig DIR/config: cluster test is not among its clusters (EINVAL). ',
    ],
    [
      'an unknown user',
      JSON.stringify({ ...good, users: [] }),
      'read kubeconfig DIR/config: user test is not among its users (EINVAL). ',
    ],
    [
      'a server that is no URL',
      renderKubeconfig({ server: '10.0.0.1:6443' }),
      'read kubeconfig DIR/config: server 10.0.0.1:6443 is no http or https address (EINVAL). ',
    ],
    [
      'a key file that is not there',
      JSON.stringify({ ...good, users: [{ name: 'test', user: { 'client-key': 'k.pem' } }] }),
      'read kubeconfig DIR/config: it names DIR/k.pem, which is not readable (ENOENT). ',
    ],
    ['a good one', JSON.stringify(good), 'no error'],
  ])('%s', (_what, text, message) => {
    expect(failure(text).startsWith(message), failure(text)).toBe(true);
  });

  it('reads a token from the file that tokenFile names', async () => {
    writeFileSync(join(directory, 'token'), 'secret\n');
    const path = join(directory, 'with-token-file');
    writeFileSync(path, JSON.stringify({ ...good, users: [{ name: 'test', user: { tokenFile: 'token' } }] }));
    const options: { headers?: Record<string, string> } = {};
    await loadKubeConfig(path).applyToHTTPSOptions(options);
    expect(options.headers?.Authorization?.trim()).toBe('Bearer secret');
  });

  it('without a file says what is missing for a pod', () => {
    const { KUBERNETES_SERVICE_HOST: host } = process.env;
    delete process.env.KUBERNETES_SERVICE_HOST;
    try {
      expect(() => loadKubeConfig()).toThrow(
        /^find API server: not running in a pod, .*\(EINVAL\)\. Give --kubeconfig/,
      );
    } finally {
      if (host !== undefined) process.env.KUBERNETES_SERVICE_HOST = host;
    }
  });
});
