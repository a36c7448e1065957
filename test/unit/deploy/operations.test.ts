import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { AgentMetrics } from '../../../src/agent/metrics/agent-metrics.js';
import { run } from '../cli/fake.js';
import { ROOT } from './render.js';

const text = readFileSync(join(ROOT, 'docs/OPERATIONS.md'), 'utf8');

it('names only flags that a command has', async () => {
  const help = await Promise.all(['agent', 'doctor'].map((name) => run([name, '--help'])));
  const known = new Set(help.flatMap(({ out }) => out.match(/--[a-z][a-z0-9-]*/g)));
  const foreign = ['--from-literal'];
  const used = [...new Set(text.match(/--[a-z][a-z0-9-]*/g))].filter((flag) => !foreign.includes(flag));
  expect(used.filter((flag) => !known.has(flag))).toEqual([]);
});

it('names only metrics that the agent has', async () => {
  const metrics = new AgentMetrics({ version: '0', servicesMax: 1 });
  const known = new Set((await metrics.registry.getMetricsAsJSON()).map(({ name }) => name));
  const used = [...new Set(text.match(/\b(shunt|kubeproxy|rest_client)_[a-z_]+[a-z]/g))];
  expect(used.length).toBeGreaterThan(15);
  const base = (name: string) => name.replace(/_bucket$/, '');
  expect(used.filter((name) => !known.has(base(name)))).toEqual([]);
});

it('has alert rules that are YAML, each with an expression and a summary', () => {
  const yaml = /```yaml\n(.*?)```/s.exec(text)?.[1] ?? '';
  const { groups } = parse(yaml) as {
    groups: { rules: { alert: string; expr: string; annotations: object }[] }[];
  };
  for (const rule of groups.flatMap((group) => group.rules)) {
    expect(rule.alert).toMatch(/^Shunt/);
    expect(rule.expr).not.toBe('');
    expect(rule.annotations).toHaveProperty('summary');
  }
});
