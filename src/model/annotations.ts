import type { Algorithm } from './desired.js';
import type { ServiceObject, Warning } from './objects.js';
import { ANY_TOPOLOGY } from './topology.js';

const ALGORITHM = 'shunt.dev/algorithm';
const TOPOLOGY_KEYS = 'shunt.dev/topology-keys';
const KNOWN = [ALGORITHM, TOPOLOGY_KEYS];

const LABEL_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LABEL_PREFIX = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

export interface ServiceAnnotations {
  algorithm: Algorithm;
  topologyKeys?: string[];
  warnings: Warning[];
}

/** Reads shunt.dev/ annotations. One that makes no sense is reported and counts as absent. */
export function readAnnotations(
  annotations: ServiceObject['annotations'],
  object: string,
  defaultAlgorithm: Algorithm,
): ServiceAnnotations {
  const warnings: Warning[] = [];
  const warn = (key: string, message: string): void => {
    warnings.push({ object, field: `metadata.annotations[${key}]`, message });
  };
  for (const key of Object.keys(annotations).sort()) {
    if (key.startsWith('shunt.dev/') && !KNOWN.includes(key)) {
      warn(key, `is not known and has no effect; the known ones are ${KNOWN.join(', ')}`);
    }
  }
  const algorithm = annotations[ALGORITHM]?.trim();
  if (algorithm !== undefined && algorithm !== 'random' && algorithm !== 'maglev') {
    warn(
      ALGORITHM,
      `${JSON.stringify(algorithm)} is no algorithm; ${defaultAlgorithm} is used. Use random or maglev`,
    );
  }
  const topologyKeys = readTopologyKeys(annotations[TOPOLOGY_KEYS], (message) =>
    warn(TOPOLOGY_KEYS, message),
  );
  return {
    algorithm: algorithm === 'random' || algorithm === 'maglev' ? algorithm : defaultAlgorithm,
    ...(topologyKeys ? { topologyKeys } : {}),
    warnings,
  };
}

function readTopologyKeys(text: string | undefined, warn: (message: string) => void): string[] | undefined {
  if (text === undefined) return undefined;
  const keys = text.split(',').map((key) => key.trim());
  for (const [index, key] of keys.entries()) {
    if (key === ANY_TOPOLOGY && index === keys.length - 1) continue;
    if (key !== ANY_TOPOLOGY && isLabelKey(key)) continue;
    const cause = key === ANY_TOPOLOGY ? '* is not the last key' : `${JSON.stringify(key)} is no label key`;
    warn(`${cause}; the annotation is ignored. List node labels separated by commas, * only at the end`);
    return undefined;
  }
  return keys;
}

function isLabelKey(key: string): boolean {
  const slash = key.indexOf('/');
  return LABEL_NAME.test(key.slice(slash + 1)) && (slash < 0 || LABEL_PREFIX.test(key.slice(0, slash)));
}
