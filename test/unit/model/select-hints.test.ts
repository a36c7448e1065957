import { describe, it } from 'vitest';
import { all, type Row, runRow, type Situation } from './selection.js';

const ZONE = 'topology.kubernetes.io/zone';
const z1: Situation = { nodes: { n1: { [ZONE]: 'z1' } } };
const noZone: Situation = { nodes: { n1: {} } };
const z1InternalLocal: Situation = { ...z1, service: { internalTrafficPolicy: 'Local' } };

const ZONES: Row[] = [
  [
    'all hinted, two for this zone',
    ['a n2 zones=z1', 'b n3 zones=z1', 'c n4 zones=z2'],
    z1,
    all('a b', 'a b', 'drop'),
  ],
  [
    'an endpoint may be meant for several zones',
    ['a n2 zones=z1,z2', 'b n3 zones=z2'],
    z1,
    all('a', 'a', 'drop'),
  ],
  [
    'the hint counts, not the zone the endpoint is in',
    ['a n2 zone=z2 zones=z1', 'b n3 zone=z1 zones=z2'],
    z1,
    all('a', 'a', 'drop'),
  ],
  [
    'one ready endpoint without hints switches hints off',
    ['a n2 zones=z1', 'b n3'],
    z1,
    all('a b', 'a b', 'drop'),
  ],
  ['an empty hint list is no hint', ['a n2 zones=z1', 'b n3 zones='], z1, all('a b', 'a b', 'drop')],
  [
    'no hint for this zone switches hints off',
    ['a n2 zones=z2', 'b n3 zones=z3'],
    z1,
    all('a b', 'a b', 'drop'),
  ],
  [
    'a node without the zone label ignores hints',
    ['a n2 zones=z1', 'b n3 zones=z2'],
    noZone,
    all('a b', 'a b', 'drop'),
  ],
  [
    'a node that nobody described ignores hints',
    ['a n2 zones=z1', 'b n3 zones=z2'],
    {},
    all('a b', 'a b', 'drop'),
  ],
  [
    'an empty zone label is no zone',
    ['a n2 zones=z1', 'b n3 zones=z2'],
    { nodes: { n1: { [ZONE]: '' } } },
    all('a b', 'a b', 'drop'),
  ],
  [
    'an unready endpoint without hints has no veto',
    ['a n2 zones=z1', 'b n3 zones=z2', 'c n4 unready'],
    z1,
    all('a', 'a', 'drop'),
  ],
  [
    'a draining endpoint without hints has no veto',
    ['a n2 zones=z1', 'b n3 zones=z2', 'c n4 draining'],
    z1,
    all('a', 'a', 'drop'),
  ],
  [
    'an unready endpoint for this zone does not satisfy it',
    ['a n2 zones=z2', 'b n3 zones=z1 unready'],
    z1,
    all('a', 'a', 'drop'),
  ],
  [
    'a draining endpoint for this zone does not satisfy it',
    ['a n2 zones=z2', 'b n3 zones=z1 draining'],
    z1,
    all('a', 'a', 'drop'),
  ],
  [
    'hints do not touch draining ones',
    ['a n2 zones=z2 draining', 'b n3 zones=z1 draining'],
    z1,
    all('a b', 'a b', 'drop'),
  ],
  [
    'an endpoint here may be meant for another zone',
    ['a n1 zones=z2', 'b n2 zones=z1'],
    z1,
    all('b', 'b', 'a'),
  ],
  [
    'the Local list ignores hints',
    ['a n1 zones=z2', 'b n1 zones=z1', 'c n2 zones=z1'],
    z1,
    all('b c', 'b c', 'a b'),
  ],
  [
    'internal Local ignores hints as well',
    ['a n1 zones=z2', 'b n2 zones=z1'],
    z1InternalLocal,
    all('a', 'b', 'a'),
  ],
  [
    'internal Local is silent though the zone has endpoints',
    ['a n2 zones=z1'],
    z1InternalLocal,
    all('drop', 'a', 'drop'),
  ],
  ['the only endpoint is for this zone', ['a n2 zones=z1'], z1, all('a', 'a', 'drop')],
  ['the only endpoint is for another zone', ['a n2 zones=z2'], z1, all('a', 'a', 'drop')],
  ['endpoints without a node carry hints too', ['a - zones=z1', 'b - zones=z2'], z1, all('a', 'a', 'drop')],
  [
    'the label of another node has no say',
    ['a n2 zones=z1', 'b n3 zones=z2'],
    { nodes: { n1: {}, n2: { [ZONE]: 'z1' } } },
    all('a b', 'a b', 'drop'),
  ],
  [
    'the old beta label is not consulted',
    ['a n2 zones=z1', 'b n3 zones=z2'],
    { nodes: { n1: { 'failure-domain.beta.kubernetes.io/zone': 'z1' } } },
    all('a b', 'a b', 'drop'),
  ],
];

const NODES: Row[] = [
  ['all hinted, one for this node', ['a n1 nodes=n1', 'b n2 nodes=n2'], {}, all('a', 'a', 'a')],
  [
    'an endpoint elsewhere may be meant for this node',
    ['a n2 nodes=n1', 'b n3 nodes=n3'],
    {},
    all('a', 'a', 'drop'),
  ],
  [
    'several for this node',
    ['a n2 nodes=n1,n2', 'b n3 nodes=n1', 'c n3 nodes=n3'],
    {},
    all('a b', 'a b', 'drop'),
  ],
  [
    'one ready endpoint without a node hint switches them off',
    ['a n1 nodes=n1', 'b n2'],
    {},
    all('a b', 'a b', 'a'),
  ],
  ['an empty list of nodes is no hint', ['a n1 nodes=n1', 'b n2 nodes='], {}, all('a b', 'a b', 'a')],
  ['none names this node: all', ['a n2 nodes=n2', 'b n3 nodes=n3'], {}, all('a b', 'a b', 'drop')],
  [
    'none names this node, zone hints decide',
    ['a n2 nodes=n2 zones=z1', 'b n3 nodes=n3 zones=z2'],
    z1,
    all('a', 'a', 'drop'),
  ],
  [
    'node hints come before zone hints',
    ['a n1 nodes=n1 zones=z2', 'b n2 nodes=n2 zones=z1'],
    z1,
    all('a', 'a', 'a'),
  ],
  [
    'incomplete node hints leave complete zone hints',
    ['a n1 nodes=n1 zones=z2', 'b n2 zones=z1'],
    z1,
    all('b', 'b', 'a'),
  ],
  [
    'complete node hints do without zone hints',
    ['a n2 nodes=n1', 'b n3 nodes=n2 zones=z1'],
    z1,
    all('a', 'a', 'drop'),
  ],
  [
    'an unready endpoint without hints has no veto',
    ['a n2 nodes=n1', 'b n3 nodes=n2', 'c n4 unready'],
    {},
    all('a', 'a', 'drop'),
  ],
  [
    'a draining endpoint without hints has no veto',
    ['a n2 nodes=n1', 'b n3 nodes=n2', 'c n4 draining'],
    {},
    all('a', 'a', 'drop'),
  ],
  [
    'an unready endpoint does not satisfy this node',
    ['a n2 nodes=n2', 'b n1 nodes=n1 unready'],
    {},
    all('a', 'a', 'drop'),
  ],
  ['node hints need no Node object', ['a n2 nodes=n1', 'b n3 nodes=n2'], {}, all('a', 'a', 'drop')],
  [
    'draining ones are not narrowed',
    ['a n2 nodes=n2 draining', 'b n1 nodes=n1 draining'],
    {},
    all('a b', 'a b', 'b'),
  ],
  ['the Local list ignores node hints', ['a n1 nodes=n2', 'b n2 nodes=n1'], {}, all('b', 'b', 'a')],
];

describe('SEMANTICS 4: zone hints', () => {
  it.each(ZONES)('%s', (...row) => runRow(row));
});

describe('SEMANTICS 4: node hints', () => {
  it.each(NODES)('%s', (...row) => runRow(row));
});
