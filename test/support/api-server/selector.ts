export type Labels = Readonly<Record<string, string>>;

/** A label selector of a list or watch: `a=b,c!=d,e,!f`; everything when empty. */
export function parseSelector(text: string): (labels: Labels) => boolean {
  const terms = text
    .split(',')
    .map((term) => term.trim())
    .filter((term) => term !== '')
    .map(parseTerm);
  return (labels) => terms.every((term) => term(labels));
}

function parseTerm(term: string): (labels: Labels) => boolean {
  const different = /^([^=!]+)!=(.*)$/.exec(term);
  if (different !== null) return (labels) => labels[different[1] ?? ''] !== different[2];
  const equal = /^([^=!]+)==?(.*)$/.exec(term);
  if (equal !== null) return (labels) => labels[equal[1] ?? ''] === equal[2];
  if (term.startsWith('!')) return (labels) => !(term.slice(1) in labels);
  return (labels) => term in labels;
}
