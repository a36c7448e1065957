/**
 * As much of Helm's template language as the chart uses: fields, if/else, range, quote, toYaml, nindent, and the
 * trimming of white space. Anything else is an error, so that the chart stays within what is checked here.
 */
import { stringify } from 'yaml';

type Node =
  | { kind: 'text'; text: string }
  | { kind: 'value'; pipeline: string }
  | { kind: 'if'; pipeline: string; then: Node[]; otherwise: Node[] }
  | { kind: 'range'; pipeline: string; body: Node[] };

interface Token {
  action: boolean;
  text: string;
}

export function renderTemplate(source: string, context: unknown): string {
  const tokens = tokensOf(source);
  const nodes = parseNodes(tokens, []).nodes;
  if (tokens.length > 0) throw new Error(`render template: ${tokens[0]?.text} has no beginning`);
  return renderNodes(nodes, context);
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let trimNext = false;
  let at = 0;
  for (const match of source.matchAll(/\{\{(-)?\s*(.*?)\s*(-)?\}\}/gs)) {
    let text = source.slice(at, match.index);
    if (trimNext) text = text.trimStart();
    if (match[1]) text = text.trimEnd();
    tokens.push({ action: false, text }, { action: true, text: match[2] ?? '' });
    trimNext = match[3] !== undefined;
    at = match.index + match[0].length;
  }
  const rest = source.slice(at);
  tokens.push({ action: false, text: trimNext ? rest.trimStart() : rest });
  return tokens;
}

/** Takes tokens until one of `ends`, which is taken too. */
function parseNodes(tokens: Token[], ends: string[]): { nodes: Node[]; end: string } {
  const nodes: Node[] = [];
  for (;;) {
    const token = tokens.shift();
    if (token === undefined) {
      if (ends.length > 0) throw new Error(`render template: ${ends.join(' or ')} is missing`);
      return { nodes, end: '' };
    }
    const { action, text } = token;
    if (!action) nodes.push({ kind: 'text', text });
    else if (ends.includes(text)) return { nodes, end: text };
    else if (text.startsWith('if ')) {
      const { nodes: then, end } = parseNodes(tokens, ['else', 'end']);
      const otherwise = end === 'else' ? parseNodes(tokens, ['end']).nodes : [];
      nodes.push({ kind: 'if', pipeline: text.slice(3), then, otherwise });
    } else if (text.startsWith('range ')) {
      nodes.push({ kind: 'range', pipeline: text.slice(6), body: parseNodes(tokens, ['end']).nodes });
    } else nodes.push({ kind: 'value', pipeline: text });
  }
}

function renderNodes(nodes: Node[], dot: unknown): string {
  return nodes.map((node) => renderNode(node, dot)).join('');
}

function renderNode(node: Node, dot: unknown): string {
  switch (node.kind) {
    case 'text':
      return node.text;
    case 'value':
      return String(evaluate(node.pipeline, dot));
    case 'if':
      return renderNodes(isTrue(evaluate(node.pipeline, dot)) ? node.then : node.otherwise, dot);
    case 'range':
      return (evaluate(node.pipeline, dot) as unknown[]).map((item) => renderNodes(node.body, item)).join('');
  }
}

/** Go's truth: zero values and empty collections are false. */
function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function evaluate(pipeline: string, dot: unknown): unknown {
  const [first = '', ...rest] = pipeline.split('|').map((part) => part.trim());
  let value: unknown;
  const toYaml = /^toYaml (\S+)$/.exec(first);
  // Helm's toYaml has no newline at its end.
  if (toYaml) value = stringify(field(toYaml[1] ?? '', dot)).trimEnd();
  else value = field(first, dot);
  for (const part of rest) {
    const indent = /^nindent (\d+)$/.exec(part);
    if (indent) value = `\n${String(value).replaceAll(/^/gm, ' '.repeat(Number(indent[1])))}`;
    else if (part === 'quote') value = JSON.stringify(String(value));
    else throw new Error(`render template: function '${part}' is not among those that the chart may use`);
  }
  return value;
}

function field(path: string, dot: unknown): unknown {
  if (path === '.') return dot;
  if (!/^(\.[A-Za-z]\w*)+$/.test(path)) {
    throw new Error(`render template: '${path}' is not among the expressions that the chart may use`);
  }
  let value = dot;
  for (const name of path.slice(1).split('.')) {
    // Helm prints "<no value>" here, which is never what anybody wants.
    if (typeof value !== 'object' || value === null || !(name in value)) {
      throw new Error(`render template: ${path} has no value`);
    }
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
