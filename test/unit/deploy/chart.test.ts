import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderTemplate } from './go-template.js';
import { violations } from './json-schema.js';
import type { DeployObject } from './kinds.js';
import { CHART, chart, chartValues, kustomize, ROOT, type Values } from './render.js';

const API_SERVER = { host: '192.0.2.1', port: '6443' };
const REPLACE = { replaceKubeProxy: true, apiServer: API_SERVER };

const sorted = (objects: DeployObject[]) => [...objects].sort((a, b) => a.kind.localeCompare(b.kind));
const withoutConfigMap = (objects: DeployObject[]) =>
  sorted(objects).filter((object) => object.kind !== 'ConfigMap');

describe('the chart', () => {
  it.each<[string, Values]>([
    ['side-by-side', {}],
    ['replace-kube-proxy', REPLACE],
    ['least-privilege', { ...REPLACE, leastPrivilege: true }],
  ])('renders what overlay %s does', (overlay, values) => {
    expect(withoutConfigMap(chart(values))).toEqual(sorted(kustomize(overlay)));
  });

  it('makes the ConfigMap that kustomize leaves to the operator, where it is needed', () => {
    const maps = (values: Values) => chart(values).filter((object) => object.kind === 'ConfigMap');
    expect(maps({})).toEqual([]);
    expect(maps(REPLACE)).toMatchObject([{ metadata: { name: 'shunt-api-server' }, data: API_SERVER }]);
  });

  it('passes further flags on', () => {
    const set = chart({ extraArgs: ['--xdp=off', '--cluster-cidr=10.0.0.0/8'] }).find(
      (object) => object.kind === 'DaemonSet',
    );
    expect(set?.kind === 'DaemonSet' && set.spec.template.spec.containers[0].args.slice(-2)).toEqual([
      '--xdp=off',
      '--cluster-cidr=10.0.0.0/8',
    ]);
  });

  it('has the version of the package', () => {
    const about = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, unknown>;
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(about).toMatchObject({ apiVersion: 'v2', version, appVersion: version });
    expect(chartValues().image).toMatchObject({ tag: version });
  });
});

describe("the chart's values", () => {
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Record<
    string,
    unknown
  >;

  it.each<[string, Values, string[]]>([
    ['the defaults', {}, []],
    ['replacing with an API server', REPLACE, []],
    ['replacing without one', { replaceKubeProxy: true }, ['$.apiServer.host: minLength']],
    ['a misspelled name', { replaceKubeproxy: true }, ['$.replaceKubeproxy: additionalProperties']],
    ['a text for a boolean', { leastPrivilege: 'true' }, ['$.leastPrivilege: type']],
    ['a number for the port', { apiServer: { host: 'a', port: 6443 } }, ['$.apiServer.port: type']],
    ['a flag without dashes', { extraArgs: ['xdp=off'] }, ['$.extraArgs[0]: pattern']],
    ['a limit in bytes', { memoryLimit: '1073741824' }, ['$.memoryLimit: pattern']],
    [
      'a port out of range',
      { healthzPort: { sideBySide: 0, replaceKubeProxy: 10256 } },
      ['$.healthzPort.sideBySide: minimum'],
    ],
    [
      'an unknown pull policy',
      { image: { repository: 'r', tag: 't', pullPolicy: 'Sometimes' } },
      ['$.image.pullPolicy: enum'],
    ],
  ])('%s', (_what, overrides, expected) => {
    expect(violations(schema, chartValues(overrides))).toEqual(expected);
  });
});

describe("the test's own renderer", () => {
  it.each([
    ['a {{- if .x }}b{{ else }}c{{ end }}', { x: '' }, 'ac'],
    ['a\n  {{- if .x }}\n  b\n  {{- end }}\nc', { x: 1 }, 'a\n  b\nc'],
    ['{{ range .x }}<{{ . | quote }}>{{ end }}', { x: ['a', 'b"'] }, '<"a"><"b\\"">'],
    ['x:\n  {{- toYaml .x | nindent 2 }}\n', { x: { a: [1] } }, 'x:\n  a:\n    - 1\n'],
  ])('%s', (source, context, text) => {
    expect(renderTemplate(source, context)).toBe(text);
  });

  it.each(['{{ .x }}', '{{ include "x" . }}', '{{ .y | upper }}', '{{ if .y }}', '{{ end }}'])(
    'refuses %s',
    (source) => {
      expect(() => renderTemplate(source, { y: 1 })).toThrow();
    },
  );
});
