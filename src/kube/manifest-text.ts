import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseAllDocuments } from 'yaml';
import { Field, type FieldPath } from './fields.js';

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

/** Takes apart YAML with any number of documents. JSON is YAML. Never throws. */
export function parseManifestText(text: string): ManifestText {
  const lineCounter = new LineCounter();
  const result: ManifestText = { documents: [], errors: [] };
  const parsed = parseAllDocuments(text, { lineCounter, prettyErrors: false, merge: true });
  if ('empty' in parsed) return result;
  for (const document of parsed) {
    const lineAt = (offset: number | undefined) => lineCounter.linePos(offset ?? 0).line;
    if (document.errors.length > 0) {
      const [first] = document.errors;
      result.errors.push({ line: lineAt(first?.pos[0]), message: first?.message ?? 'no YAML' });
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
      result.errors.push({ line: lineOf([]), message: (error as Error).message });
    }
  }
  return result;
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
