import { ApiError } from './api-error.js';
import type { KubeObject, Target } from './resources.js';
import type { Store } from './store.js';

/** POST, PUT, PATCH and DELETE of one object. Returns the status and the object to answer with. */
export function applyWrite(
  store: Store,
  method: string,
  target: Target,
  body: string,
): { code: number; object: object } {
  const { resource, namespace, name } = target;
  const old = name === undefined ? undefined : store.get(resource, namespace, name);
  const missing = new ApiError(404, 'NotFound', `${resource.plural} "${name}" not found`);
  if (method === 'POST' && name === undefined) {
    const input = parseObject(body, target);
    if (store.get(resource, namespace, input.metadata.name) !== undefined) {
      throw new ApiError(409, 'AlreadyExists', `${resource.plural} "${input.metadata.name}" already exists`);
    }
    return { code: 201, object: store.put(input) };
  }
  if (method === 'PUT' && name !== undefined) {
    const input = parseObject(body, target);
    if (input.metadata.name !== name) throw new ApiError(400, 'BadRequest', 'the name differs from the path');
    const expected = input.metadata.resourceVersion;
    if (expected && old !== undefined && expected !== old.metadata.resourceVersion) {
      throw new ApiError(409, 'Conflict', `${resource.plural} "${name}" has been modified`);
    }
    return { code: old === undefined ? 201 : 200, object: store.put(input) };
  }
  if (method === 'PATCH' && name !== undefined) {
    if (old === undefined) throw missing;
    return { code: 200, object: store.put(mergePatch(old, parseJson(body)) as KubeObject) };
  }
  if (method === 'DELETE' && name !== undefined) {
    const last = store.delete(resource, namespace, name);
    if (last === undefined) throw missing;
    return { code: 200, object: last };
  }
  throw new ApiError(405, 'MethodNotAllowed', `${method} is not allowed here`);
}

function parseObject(body: string, { resource, namespace }: Target): KubeObject {
  const input = parseJson(body) as Partial<KubeObject> | null;
  if (typeof input?.metadata?.name !== 'string' || (input.kind ?? resource.kind) !== resource.kind) {
    throw new ApiError(400, 'BadRequest', `the body is no ${resource.kind} with a metadata.name`);
  }
  return {
    ...input,
    apiVersion: resource.apiVersion,
    kind: resource.kind,
    metadata: { ...input.metadata, ...(namespace === undefined ? {} : { namespace }) },
  };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new ApiError(400, 'BadRequest', 'the body is no JSON');
  }
}

/** RFC 7386. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {};
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}
