/** What `kubectl kustomize` and `helm template` print, as objects. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { renderTemplate } from './go-template.js';
import { checkObjects, type DeployObject } from './kinds.js';

export const ROOT = resolve(import.meta.dirname, '../../..');
export const CHART = join(ROOT, 'deploy/helm/shunt');
export const OVERLAYS = ['side-by-side', 'replace-kube-proxy', 'least-privilege'] as const;

function objectsOf(text: string): unknown[] {
  return parseAllDocuments(text)
    .map((document) => {
      for (const error of document.errors) throw error;
      return document.toJS() as unknown;
    })
    .filter((value) => value !== null);
}

/** Kubernetes ships it, Debian 12 does not: a machine that only runs the tests may have none. */
export const HAS_KUBECTL = spawnSync('kubectl', ['version', '--client']).status === 0;

export function rendered(overlay: string): string {
  return readFileSync(join(ROOT, `deploy/rendered/${overlay}.yaml`), 'utf8');
}

/** Needs kubectl, but no cluster and no network. */
export function kustomizeText(overlay: string): string {
  const directory = join(ROOT, 'deploy/overlays', overlay);
  return execFileSync('kubectl', ['kustomize', directory], { encoding: 'utf8' });
}

/** Without kubectl: what it printed when deploy/rendered was written. */
export function kustomize(overlay: string): DeployObject[] {
  return checkObjects(objectsOf(HAS_KUBECTL ? kustomizeText(overlay) : rendered(overlay)));
}

export interface Values {
  [name: string]: unknown;
}

export function chartValues(overrides: Values = {}): Values {
  return { ...(parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Values), ...overrides };
}

/** The chart as Helm would render it into kube-system. */
export function chart(overrides: Values = {}): DeployObject[] {
  const directory = join(CHART, 'templates');
  const context = { Values: chartValues(overrides), Release: { Namespace: 'kube-system' } };
  const texts = readdirSync(directory)
    .sort()
    .map((file) => renderTemplate(readFileSync(join(directory, file), 'utf8'), context));
  return checkObjects(texts.flatMap(objectsOf));
}
