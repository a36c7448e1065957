// Raw Kubernetes JSON -> model input objects, one object at a time and without side effects.
//
// A field that makes the object meaningless rejects the object; an entry of a list that can be left out alone
// (one address of many) is left out and reported. Unknown fields are ignored, so that newer API servers work.

import type {
  EndpointSliceObject,
  NodeObject,
  ServiceCidrObject,
  ServiceObject,
  Warning,
} from '../model/objects.js';
import { convertNode } from './convert-node.js';
import { convertService } from './convert-service.js';
import { convertServiceCidr } from './convert-service-cidr.js';
import { convertEndpointSlice } from './convert-slice.js';
import { Field, FieldError, type Problem, renderPath } from './fields.js';
import { metadataOf } from './metadata.js';

/** Result of a conversion. `key` is undefined when even the name is missing. */
export type Conversion<T> =
  | { ok: true; key: string; object: T; problems: Problem[] }
  | { ok: false; key: string | undefined; problems: Problem[] };

export type Converter<T> = (raw: Field, problems: Problem[]) => T;

export const convert = {
  Service: (raw: unknown): Conversion<ServiceObject> => convertWith(raw, true, convertService),
  EndpointSlice: (raw: unknown): Conversion<EndpointSliceObject> =>
    convertWith(raw, true, convertEndpointSlice),
  Node: (raw: unknown): Conversion<NodeObject> => convertWith(raw, false, convertNode),
  ServiceCIDR: (raw: unknown): Conversion<ServiceCidrObject> => convertWith(raw, false, convertServiceCidr),
} as const;

/** Runs a converter and turns a FieldError into a rejected object. */
export function convertWith<T>(raw: unknown, namespaced: boolean, converter: Converter<T>): Conversion<T> {
  const problems: Problem[] = [];
  const field = new Field(raw);
  let key: string | undefined;
  try {
    const { namespace, name } = metadataOf(field);
    key = namespaced ? `${namespace}/${name}` : name;
    return { ok: true, key, object: converter(field, problems), problems };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    // What was wrong in passing does not matter next to what made the object unusable.
    return { ok: false, key, problems: [{ path: error.path, message: error.message }] };
  }
}

/** A problem as the operator reads it. */
export function renderWarning(kind: string, key: string | undefined, problem: Problem): Warning {
  return {
    object: `${kind} ${key ?? '(without a name)'}`,
    field: renderPath(problem.path),
    message: problem.message,
  };
}
