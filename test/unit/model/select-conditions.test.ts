import { describe, it } from 'vitest';
import { all, type Row, runRow } from './selection.js';

const localInternal = { service: { internalTrafficPolicy: 'Local' as const } };
const localExternal = { service: { externalTrafficPolicy: 'Local' as const } };

// Cluster list and internal list are the same here, since internalTrafficPolicy is Cluster.
const CONDITIONS: Row[] = [
  ['no endpoint at all is a refusal everywhere', [], {}, all('reject', 'reject', 'reject')],
  ['one ready endpoint here serves all scopes', ['a n1'], {}, all('a', 'a', 'a')],
  ['one ready endpoint elsewhere leaves the local scope silent', ['a n2'], {}, all('a', 'a', 'drop')],
  ['a ready endpoint without a node is never local', ['a -'], {}, all('a', 'a', 'drop')],
  ['ready endpoints of all nodes are used', ['a n1', 'b n2', 'c n3'], {}, all('a b c', 'a b c', 'a')],
  ['an unready endpoint is no endpoint', ['a n1 unready'], {}, all('reject', 'reject', 'reject')],
  ['unready ones stand aside for a ready one', ['a n1 unready', 'b n2'], {}, all('b', 'b', 'drop')],
  [
    'several unready ones are still none',
    ['a n1 unready', 'b n2 unready'],
    {},
    all('reject', 'reject', 'reject'),
  ],
  ['a null ready condition counts as ready', ['a n1 null'], {}, all('a', 'a', 'a')],
  ['ready true with the rest null is ready', ['a n1 ready=true'], {}, all('a', 'a', 'a')],
  [
    'ready false with the rest null is not serving',
    ['a n1 ready=false'],
    {},
    all('reject', 'reject', 'reject'),
  ],
  [
    'ready false, serving null, terminating true does not drain',
    ['a n1 ready=false terminating=true'],
    {},
    all('reject', 'reject', 'reject'),
  ],
  [
    'ready null and terminating true is ready, since null counts as true',
    ['a n1 terminating=true', 'b n2'],
    {},
    all('a b', 'a b', 'a'),
  ],
  ['ready null and serving false is ready', ['a n1 serving=false', 'b n2'], {}, all('a b', 'a b', 'a')],
  [
    'ready true counts whatever terminating says',
    ['a n1 ready=true serving=true terminating=true', 'b n2'],
    {},
    all('a b', 'a b', 'a'),
  ],
  [
    'ready true counts whatever serving says',
    ['a n1 ready=true serving=false terminating=false'],
    {},
    all('a', 'a', 'a'),
  ],
  [
    'serving without terminating and without ready is not usable',
    ['a n1 serving'],
    {},
    all('reject', 'reject', 'reject'),
  ],
  [
    'ready false, serving true, terminating null does not drain',
    ['a n1 ready=false serving=true'],
    {},
    all('reject', 'reject', 'reject'),
  ],
  ['terminating and not serving is not usable', ['a n1 gone'], {}, all('reject', 'reject', 'reject')],
  ['one draining endpoint is the last resort', ['a n1 draining'], {}, all('a', 'a', 'a')],
  ['a draining endpoint elsewhere keeps local silent', ['a n2 draining'], {}, all('a', 'a', 'drop')],
  [
    'all draining ones are used when none is ready',
    ['a n1 draining', 'b n2 draining'],
    {},
    all('a b', 'a b', 'a'),
  ],
  ['draining ones are left alone while one is ready', ['a n2 draining', 'b n3'], {}, all('b', 'b', 'drop')],
  ['draining beside unready is used', ['a n1 unready', 'b n2 draining'], {}, all('b', 'b', 'drop')],
  ['draining beside gone is used', ['a n1 gone', 'b n2 draining'], {}, all('b', 'b', 'drop')],
  ['draining beside serving is used', ['a n1 serving', 'b n2 draining'], {}, all('b', 'b', 'drop')],
  ['gone beside ready is not used', ['a n1 gone', 'b n1'], {}, all('b', 'b', 'b')],
  [
    'every state at once: only ready ones take traffic',
    ['a n1 unready', 'b n1 serving', 'c n1 draining', 'd n1 gone', 'e n1 ready'],
    {},
    all('e', 'e', 'e'),
  ],
  [
    'every state but ready: only draining ones take traffic',
    ['a n1 unready', 'b n1 serving', 'c n1 draining', 'd n1 gone'],
    {},
    all('c', 'c', 'c'),
  ],
  [
    'publishNotReadyAddresses arrives as ready',
    ['a n1 ready=true'],
    { service: { publishNotReadyAddresses: true } },
    all('a', 'a', 'a'),
  ],
  [
    'publishNotReadyAddresses itself makes nothing ready',
    ['a n1 unready'],
    { service: { publishNotReadyAddresses: true } },
    all('reject', 'reject', 'reject'),
  ],
];

const LOCAL: Row[] = [
  ['local ready endpoints alone', ['a n1', 'b n2'], localInternal, all('a', 'a b', 'a')],
  ['several local ready ones', ['a n1', 'b n1', 'c n2'], localInternal, all('a b', 'a b c', 'a b')],
  ['ready only elsewhere: silence inside', ['a n2', 'b n3'], localInternal, all('drop', 'a b', 'drop')],
  ['no endpoint at all: refusal inside', [], localInternal, all('reject', 'reject', 'reject')],
  ['only an unready local one: refusal', ['a n1 unready'], localInternal, all('reject', 'reject', 'reject')],
  [
    'unready here, ready elsewhere: silence',
    ['a n1 unready', 'b n2'],
    localInternal,
    all('drop', 'b', 'drop'),
  ],
  [
    'draining here is used even while others are ready elsewhere',
    ['a n1 draining', 'b n2'],
    localInternal,
    all('a', 'b', 'a'),
  ],
  [
    'draining here stands aside for a ready one here',
    ['a n1 draining', 'b n1'],
    localInternal,
    all('b', 'b', 'b'),
  ],
  [
    'draining here and draining elsewhere: the one here',
    ['a n1 draining', 'b n2 draining'],
    localInternal,
    all('a', 'a b', 'a'),
  ],
  [
    'draining only elsewhere is usable somewhere: silence',
    ['a n2 draining'],
    localInternal,
    all('drop', 'a', 'drop'),
  ],
  ['gone here, nothing else: refusal', ['a n1 gone'], localInternal, all('reject', 'reject', 'reject')],
  ['gone here, ready elsewhere: silence', ['a n1 gone', 'b n2'], localInternal, all('drop', 'b', 'drop')],
  [
    'gone here, draining elsewhere: silence',
    ['a n1 gone', 'b n2 draining'],
    localInternal,
    all('drop', 'b', 'drop'),
  ],
  [
    'serving but not terminating here: no fallback',
    ['a n1 serving', 'b n2'],
    localInternal,
    all('drop', 'b', 'drop'),
  ],
  [
    'unready elsewhere is usable nowhere: refusal',
    ['a n2 unready'],
    localInternal,
    all('reject', 'reject', 'reject'),
  ],
  ['an endpoint without a node is elsewhere', ['a -', 'b -'], localInternal, all('drop', 'a b', 'drop')],
  [
    'a draining endpoint without a node is elsewhere',
    ['a - draining'],
    localInternal,
    all('drop', 'a', 'drop'),
  ],
  ['ready null here', ['a n1 null', 'b n2 null'], localInternal, all('a', 'a b', 'a')],
  [
    'a node whose name begins alike is another node',
    ['a n11', 'b n12'],
    localInternal,
    all('drop', 'a b', 'drop'),
  ],
  [
    'two draining ones here, none ready anywhere',
    ['a n1 draining', 'b n1 draining'],
    localInternal,
    all('a b', 'a b', 'a b'),
  ],
];

const EXTERNAL: Row[] = [
  [
    'the internal list ignores externalTrafficPolicy',
    ['a n1', 'b n2'],
    localExternal,
    all('a b', 'a b', 'a'),
  ],
  ['pods keep the Cluster list, the wire gets silence', ['a n2'], localExternal, all('a', 'a', 'drop')],
  [
    'nothing anywhere is a refusal for the wire as well',
    [],
    localExternal,
    all('reject', 'reject', 'reject'),
  ],
  [
    'draining here serves the wire while pods use ready ones',
    ['a n1 draining', 'b n2'],
    localExternal,
    all('b', 'b', 'a'),
  ],
  ['draining elsewhere only', ['a n2 draining'], localExternal, all('a', 'a', 'drop')],
  ['unready here only', ['a n1 unready'], localExternal, all('reject', 'reject', 'reject')],
  ['unready here and ready elsewhere', ['a n1 unready', 'b n2'], localExternal, all('b', 'b', 'drop')],
  [
    'both policies Local: pods still have the Cluster list for external frontends',
    ['a n1', 'b n2'],
    { service: { internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' } },
    all('a', 'a b', 'a'),
  ],
  [
    'both policies Local, ready elsewhere only',
    ['b n2'],
    { service: { internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' } },
    all('drop', 'b', 'drop'),
  ],
  [
    'internal Local and external Cluster are independent',
    ['a n2', 'b n1 draining'],
    { service: { internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Cluster' } },
    all('b', 'a', 'b'),
  ],
];

describe('SEMANTICS 3: usable endpoints, conditions and the Cluster policy', () => {
  it.each(CONDITIONS)('%s', (...row) => runRow(row));
});

describe('SEMANTICS 3: internalTrafficPolicy Local', () => {
  it.each(LOCAL)('%s', (...row) => runRow(row));
});

describe('SEMANTICS 3: externalTrafficPolicy Local', () => {
  it.each(EXTERNAL)('%s', (...row) => runRow(row));
});
