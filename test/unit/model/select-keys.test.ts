import { describe, expect, it } from 'vitest';
import { model, parseEndpoint, put, service, slice } from './builders.js';
import { all, type Row, runRow, type Situation } from './selection.js';

const HOST = 'kubernetes.io/hostname';
const ZONE = 'topology.kubernetes.io/zone';
const REGION = 'topology.kubernetes.io/region';

/** Two nodes in zone z1, one in z2 of the same region, one in another region. */
const NODES = {
  n1: { [HOST]: 'n1', [ZONE]: 'z1', [REGION]: 'r1', rack: '7' },
  n2: { [HOST]: 'n2', [ZONE]: 'z1', [REGION]: 'r1', rack: '8' },
  n3: { [HOST]: 'n3', [ZONE]: 'z2', [REGION]: 'r1', rack: '7' },
  n4: { [HOST]: 'n4', [ZONE]: 'z9', [REGION]: 'r9' },
};

function keys(list: string, nodes: Situation['nodes'] = NODES, more: Situation['service'] = {}): Situation {
  return { nodes: nodes ?? {}, service: { annotations: { 'shunt.dev/topology-keys': list }, ...more } };
}

const EVERYWHERE = ['a n1', 'b n2', 'c n3', 'd n4'];
const REMOTE = ['b n2', 'c n3', 'd n4'];
const ZONES_ELSEWHERE = ['c n3', 'd n4'];

const ROWS: Row[] = [
  ['only this node', EVERYWHERE, keys(HOST), all('a', 'a', 'a')],
  ['only this node, and none is there: no endpoint', REMOTE, keys(HOST), all('reject', 'reject', 'drop')],
  ['prefer this node, and one is there', EVERYWHERE, keys(`${HOST},*`), all('a', 'a', 'a')],
  ['prefer this node, else any', REMOTE, keys(`${HOST},*`), all('b c d', 'b c d', 'drop')],
  ['only this zone', EVERYWHERE, keys(ZONE), all('a b', 'a b', 'a')],
  [
    'only this zone, and none is there: no endpoint',
    ZONES_ELSEWHERE,
    keys(ZONE),
    all('reject', 'reject', 'drop'),
  ],
  [
    'this zone or region: the zone comes first',
    EVERYWHERE,
    keys(`${ZONE},${REGION}`),
    all('a b', 'a b', 'a'),
  ],
  [
    'this zone or region: the region is next',
    ZONES_ELSEWHERE,
    keys(`${ZONE},${REGION}`),
    all('c', 'c', 'drop'),
  ],
  [
    'this zone or region: another region never',
    ['d n4'],
    keys(`${ZONE},${REGION}`),
    all('reject', 'reject', 'drop'),
  ],
  ['node, zone, region, anything: node', EVERYWHERE, keys(`${HOST},${ZONE},${REGION},*`), all('a', 'a', 'a')],
  ['node, zone, region, anything: zone', REMOTE, keys(`${HOST},${ZONE},${REGION},*`), all('b', 'b', 'drop')],
  [
    'node, zone, region, anything: region',
    ZONES_ELSEWHERE,
    keys(`${HOST},${ZONE},${REGION},*`),
    all('c', 'c', 'drop'),
  ],
  [
    'node, zone, region, anything: anything',
    ['d n4'],
    keys(`${HOST},${ZONE},${REGION},*`),
    all('d', 'd', 'drop'),
  ],
  ['the star alone is every endpoint', EVERYWHERE, keys('*'), all('a b c d', 'a b c d', 'a')],
  ['any label of nodes will do', EVERYWHERE, keys('rack'), all('a c', 'a c', 'a')],
  ['the order of the keys decides', REMOTE, keys('rack,topology.kubernetes.io/zone'), all('c', 'c', 'drop')],
  [
    'a label that this node lacks is passed over',
    REMOTE,
    keys(`example.com/row,${ZONE}`),
    all('b', 'b', 'drop'),
  ],
  [
    'a label that this node lacks, and nothing more',
    EVERYWHERE,
    keys('example.com/row'),
    all('reject', 'reject', 'a'),
  ],
  ['spaces around the commas are fine', REMOTE, keys(` ${HOST} , * `), all('b c d', 'b c d', 'drop')],
  [
    'unready endpoints do not match',
    ['a n1 unready', 'b n2', 'c n3'],
    keys(`${HOST},${ZONE}`),
    all('b', 'b', 'drop'),
  ],
  [
    'draining endpoints do not match while one is ready',
    ['a n1 draining', 'b n2'],
    keys(`${HOST},*`),
    all('b', 'b', 'a'),
  ],
  [
    'a ready one elsewhere keeps draining ones out',
    ['a n1 draining', 'b n2'],
    keys(HOST),
    all('reject', 'reject', 'a'),
  ],
  [
    'keys are not applied to draining ones',
    ['b n2 draining', 'd n4 draining'],
    keys(HOST),
    all('b d', 'b d', 'drop'),
  ],
  ['nothing usable at all', ['a n1 gone'], keys(`${HOST},*`), all('reject', 'reject', 'reject')],
  ['the Local list ignores keys', ['a n1', 'b n1', 'd n4'], keys(REGION), all('a b', 'a b', 'a b')],
  [
    'internal Local ignores keys',
    REMOTE,
    keys('*', NODES, { internalTrafficPolicy: 'Local' }),
    all('drop', 'b c d', 'drop'),
  ],
  [
    'internal Local has its local one although the keys match nowhere',
    ['a n1', 'b n2'],
    keys('example.com/row', NODES, { internalTrafficPolicy: 'Local' }),
    all('a', 'reject', 'a'),
  ],
  [
    'the annotation takes the place of hints',
    ['a n1 nodes=n2 zones=z2', 'b n2 nodes=n1 zones=z1'],
    keys(HOST),
    all('a', 'a', 'a'),
  ],
  [
    'the star takes the place of hints as well',
    ['a n1 zones=z2', 'b n2 zones=z1'],
    keys('*'),
    all('a b', 'a b', 'a'),
  ],
  [
    'an endpoint without a node matches only the star',
    ['a -', 'b n3'],
    keys(`${ZONE},*`),
    all('a b', 'a b', 'drop'),
  ],
  [
    'an endpoint without a node has its zone from the slice',
    ['a - zone=z1', 'b n3'],
    keys(ZONE),
    all('a', 'a', 'drop'),
  ],
  [
    'the zone in the slice stands in for an unknown node',
    ['a n8 zone=z1', 'b n3'],
    keys(ZONE),
    all('a', 'a', 'drop'),
  ],
  [
    'the label of the node wins over the zone in the slice',
    ['a n2 zone=z9', 'd n4 zone=z1'],
    keys(ZONE),
    all('a', 'a', 'drop'),
  ],
  [
    'without Node objects the hostname is the node name',
    ['a n1', 'b n2'],
    keys(HOST, {}),
    all('a', 'a', 'a'),
  ],
  [
    'without Node objects other labels match nothing',
    ['a n1', 'b n2'],
    keys(ZONE, {}),
    all('reject', 'reject', 'a'),
  ],
  [
    'a hostname label that differs from the node name is the label',
    ['a n1', 'b n2'],
    keys(HOST, { n1: { [HOST]: 'alpha' }, n2: { [HOST]: 'alpha' } }),
    all('a b', 'a b', 'a'),
  ],
  [
    'an empty value is a value',
    ['a n1', 'b n2', 'c n3'],
    keys('edge', { n1: { edge: '' }, n2: { edge: '' }, n3: {} }),
    all('a b', 'a b', 'a'),
  ],
];

describe('SEMANTICS 4: shunt.dev/topology-keys', () => {
  it.each(ROWS)('%s', (...row) => runRow(row));

  it.each([
    ['*,kubernetes.io/hostname', '* is not the last key'],
    ['', '"" is no label key'],
    ['kubernetes.io/hostname,,*', '"" is no label key'],
    ['no spaces inside', '"no spaces inside" is no label key'],
    ['-dash', '"-dash" is no label key'],
    ['/name', '"/name" is no label key'],
    ['a/b/c', '"a/b/c" is no label key'],
  ])('reports %j and falls back to no narrowing', (text, cause) => {
    const made = model({}, [
      put(service({ annotations: { 'shunt.dev/topology-keys': text } })),
      put(slice({ endpoints: ['a n1', 'b n2'].map(parseEndpoint) })),
    ]);
    expect(made.desired()[0]?.cluster.backends).toEqual([0, 1]);
    expect(made.warnings()).toEqual([
      {
        object: 'Service default/web',
        field: 'metadata.annotations[shunt.dev/topology-keys]',
        message: expect.stringContaining(cause),
      },
    ]);
  });
});
