import { Composer, isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, Parser } from 'yaml';
import { Field, FieldError, type FieldPath, renderPath } from './fields.js';

/** One object of a manifest file, lists taken apart. */
export interface ManifestDocument {
  apiVersion: string;
  kind: string;
  raw: unknown;
  /** Line, from 1, of a field; of what comes closest to it when it is not there. */
  lineOf(path: FieldPath): number;
}

export interface ManifestText {
  documents: ManifestDocument[];
  /** Syntax errors, and documents that are no objects. */
  errors: { line: number; message: string }[];
}

/** A file of megabytes takes seconds: the heartbeat and the health answers go on in between. */
const TURN_MS = 20;

/** Takes apart YAML with any number of documents. JSON is YAML. Never throws. */
export function parseManifestText(text: string): ManifestText {
  const result: ManifestText = { documents: [], errors: [] };
  for (const _ of readDocuments(text, result));
  return result;
}

/** The same, leaving the event loop to others now and then. Never rejects. */
export async function parseManifestTextInTurns(text: string): Promise<ManifestText> {
  const result: ManifestText = { documents: [], errors: [] };
  let since = performance.now();
  for (const _ of readDocuments(text, result)) {
    if (performance.now() - since < TURN_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    since = performance.now();
  }
  return result;
}

/** Yields before every document. */
function* readDocuments(text: string, result: ManifestText): Generator<undefined> {
  if (text.includes('\0')) {
    result.errors.push({ line: 1, message: 'this is no UTF-8 text; save it as UTF-8' });
    return;
  }
  const lineCounter = new LineCounter();
  const parser = new Parser(lineCounter.addNewLine);
  const composer = new Composer({ lineCounter, prettyErrors: false, merge: true });
  for (const document of composer.compose(parser.parse(text))) {
    yield;
    const lineAt = (offset: number | undefined) => lineCounter.linePos(offset ?? 0).line;
    if (document.errors.length > 0) {
      const [first] = document.errors;
      result.errors.push({
        line: lineAt(first?.pos[0]),
        message: `${first?.message ?? 'no YAML'}; correct it`,
      });
      continue;
    }
    const root = document.contents;
    if (root === null || (isScalar(root) && root.value === null)) continue;
    const lineOf = (path: FieldPath): number => {
      let node: ParsedNode | null = root;
      let line = lineAt(root.range[0]);
      for (const step of path) {
        if (isAlias(node)) node = (node.resolve(document) as ParsedNode | undefined) ?? null;
        if (isMap(node)) {
          const pair: { key: ParsedNode; value: ParsedNode | null } | undefined = node.items.find(
            ({ key }) => isScalar(key) && String(key.value) === String(step),
          );
          if (pair === undefined) return line;
          line = lineAt(pair.key.range[0]);
          node = pair.value;
        } else if (isSeq(node) && typeof step === 'number') {
          node = (node.items[step] as ParsedNode | undefined) ?? null;
          if (node === null) return line;
          line = lineAt(node.range[0]);
        } else return line;
      }
      return line;
    };
    try {
      // A bomb of aliases throws here.
      collect(document.toJS({ maxAliasCount: 100 }), [], lineOf, result);
    } catch (error) {
      const path = error instanceof FieldError ? error.path : [];
      const field = path.length > 0 ? `${renderPath(path)} ` : '';
      result.errors.push({ line: lineOf(path), message: `${field}${(error as Error).message}` });
    }
  }
}

function collect(
  raw: unknown,
  at: (string | number)[],
  lineOf: ManifestDocument['lineOf'],
  result: ManifestText,
): void {
  const line = lineOf(at);
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    result.errors.push({
      line,
      message: 'this is no Kubernetes object; write apiVersion, kind and metadata',
    });
    return;
  }
  const { apiVersion, kind } = raw as { apiVersion?: unknown; kind?: unknown };
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') {
    const missing = typeof kind !== 'string' ? 'kind' : 'apiVersion';
    result.errors.push({
      line,
      message: `${missing} is missing or no text; write it at the top of the object`,
    });
    return;
  }
  if (!kind.endsWith('List')) {
    result.documents.push({ apiVersion, kind, raw, lineOf: (path) => lineOf([...at, ...path]) });
    return;
  }
  const items = new Field(raw).get('items').items();
  for (const [index, item] of items.entries()) {
    // Objects of a typed list (ServiceList) come without their own type.
    const typed =
      kind === 'List' || typeof item.value !== 'object' || item.value === null
        ? item.value
        : { apiVersion, kind: kind.slice(0, -'List'.length), ...item.value };
    collect(typed, [...at, 'items', index], lineOf, result);
  }
}
