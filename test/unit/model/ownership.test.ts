import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/model/model.js';
import type { Change, ServiceObject } from '../../../src/model/objects.js';
import { model, port, put, remove, service, showFrontends } from './builders.js';

/** Service `name` with cluster IP 10.96.0.<n>, created at `n` unless said. */
function numbered(name: string, n: number, fields: Partial<ServiceObject> = {}): ServiceObject {
  return service({ name, clusterIPs: [`10.96.0.${n}`], creationTimestampMs: n, ...fields });
}

function ownersOf(made: Model, frontend: string): string[] {
  return made
    .desired()
    .flatMap((desired) => (showFrontends(desired).includes(frontend) ? [desired.name] : []));
}

const SHARED = '192.0.2.1';
const external = { externalIPs: [SHARED] };
const balanced = { type: 'LoadBalancer' as const, loadBalancerIngress: [{ ip: SHARED }] };

describe('SEMANTICS 2: two Services that claim one address, port and protocol', () => {
  it.each<[string, ServiceObject[], Record<string, string[]>, string[]]>([
    [
      'the older one keeps an external IP',
      [numbered('young', 2, external), numbered('old', 1, external)],
      { [`ExternalIP ${SHARED} 80`]: ['old'] },
      ['young spec.externalIPs: default/old'],
    ],
    [
      'the older one keeps a load-balancer IP',
      [numbered('young', 2, balanced), numbered('old', 1, balanced)],
      { [`LoadBalancer ${SHARED} 80`]: ['old'] },
      ['young status.loadBalancer.ingress: default/old'],
    ],
    [
      'age decides between load-balancer IP and external IP',
      [numbered('young', 2, balanced), numbered('old', 1, external)],
      { [`LoadBalancer ${SHARED} 80`]: [], [`ExternalIP ${SHARED} 80`]: ['old'] },
      ['young status.loadBalancer.ingress: default/old'],
    ],
    [
      'of the same age, the name that sorts first',
      [numbered('b', 1, external), service({ ...numbered('a', 2, external), creationTimestampMs: 1 })],
      { [`ExternalIP ${SHARED} 80`]: ['a'] },
      ['b spec.externalIPs: default/a'],
    ],
    [
      'of the same age, the namespace comes first',
      [
        service({ ...numbered('a', 1, external), namespace: 'z' }),
        service({ ...numbered('b', 2, external), creationTimestampMs: 1 }),
      ],
      { [`ExternalIP ${SHARED} 80`]: ['b'] },
      ['a spec.externalIPs: default/b'],
    ],
    [
      'other ports are no conflict',
      [numbered('a', 1, external), numbered('b', 2, { ...external, ports: [port({ port: 81 })] })],
      { [`ExternalIP ${SHARED} 80`]: ['a'], [`ExternalIP ${SHARED} 81`]: ['b'] },
      [],
    ],
    [
      'other protocols are no conflict',
      [numbered('a', 1, external), numbered('b', 2, { ...external, ports: [port({ protocol: 'UDP' })] })],
      { [`ExternalIP ${SHARED} 80`]: ['a', 'b'] },
      [],
    ],
    [
      'only the contested port is lost',
      [
        numbered('old', 1, external),
        numbered('young', 2, { ...external, ports: [port(), port({ name: 'b', port: 81 })] }),
      ],
      { [`ExternalIP ${SHARED} 80`]: ['old'], [`ExternalIP ${SHARED} 81`]: ['young'] },
      ['young spec.externalIPs: default/old'],
    ],
    [
      'a cluster IP wins over an older load-balancer IP',
      [numbered('old', 1, balanced), numbered('young', 2, { clusterIPs: [SHARED] })],
      { [`LoadBalancer ${SHARED} 80`]: [], [`ClusterIP ${SHARED} 80`]: ['young'] },
      ['old status.loadBalancer.ingress: default/young'],
    ],
    [
      'two cluster IPs, as only manifests can have them: the older one',
      [numbered('old', 1, { clusterIPs: [SHARED] }), numbered('young', 2, { clusterIPs: [SHARED] })],
      { [`ClusterIP ${SHARED} 80`]: ['old'] },
      ['young spec.clusterIPs: default/old'],
    ],
    [
      'two node ports, as only manifests can have them: the older one',
      [
        numbered('old', 1, { type: 'NodePort', ports: [port({ nodePort: 30080 })] }),
        numbered('young', 2, { type: 'NodePort', ports: [port({ nodePort: 30080 })] }),
      ],
      { 'NodePort * 30080': ['old'] },
      ['young spec.ports[0].nodePort: default/old'],
    ],
    [
      'node ports of different families are no conflict',
      [
        numbered('four', 1, { type: 'NodePort', ports: [port({ nodePort: 30080 })] }),
        numbered('six', 2, {
          type: 'NodePort',
          clusterIPs: ['fd00::2'],
          ports: [port({ nodePort: 30080 })],
        }),
      ],
      { 'NodePort * 30080': ['four', 'six'] },
      [],
    ],
    [
      'headless and ExternalName Services claim nothing',
      [
        numbered('old', 1, { ...external, headless: true, clusterIPs: [] }),
        numbered('older', 0, { ...external, type: 'ExternalName' }),
        numbered('young', 2, external),
      ],
      { [`ExternalIP ${SHARED} 80`]: ['young'] },
      [],
    ],
    [
      'an external IP that the allow-list refuses is no claim',
      [
        numbered('old', 1, { externalIPs: ['10.96.9.9'] }),
        numbered('young', 2, { ...balanced, loadBalancerIngress: [{ ip: '10.96.9.9' }] }),
      ],
      { 'LoadBalancer 10.96.9.9 80': ['young'] },
      ['old spec.externalIPs: 10.96.9.9 is in the cluster IP range'],
    ],
    [
      'a Service of another proxy keeps what it had first',
      [numbered('theirs', 1, { ...external, proxyName: 'other' }), numbered('ours', 2, external)],
      { [`ExternalIP ${SHARED} 80`]: [] },
      ['ours spec.externalIPs: default/theirs'],
    ],
  ])('%s', (_, services, expected, reported) => {
    for (const order of [services, [...services].reverse()]) {
      const made = model({ serviceCidrs: ['10.96.9.0/24'] }, order.map(put));
      for (const [frontend, owners] of Object.entries(expected)) {
        expect([frontend, ownersOf(made, frontend)]).toEqual([frontend, owners]);
      }
      const warnings = made.warnings().map(({ object, field, message }) => {
        const cause =
          /kept by Service (\S+),/.exec(message)?.[1] ?? message.replace(/ and is left out.*/, '');
        return `${object.replace(/^.*\//, '')} ${field}: ${cause}`;
      });
      expect(warnings).toEqual(reported);
    }
  });

  it('names the frontend in the message', () => {
    const made = model({}, [
      put(numbered('old', 1, { clusterIPs: ['fd00::1'], externalIPs: ['2001:db8::9'] })),
      put(numbered('young', 2, { clusterIPs: ['fd00::2'], externalIPs: ['2001:db8::9'] })),
    ]);
    expect(made.warnings()[0]?.message).toBe(
      '[2001:db8::9]:80/TCP is kept by Service default/old, which comes first; use another address or port',
    );
  });

  it('passes a claim on when its owner goes, and back when an older one comes', () => {
    const made = model({}, [put(numbered('b', 2, external)), put(numbered('c', 3, external))]);
    const owner = (...changes: Change[]): string[] => {
      made.apply(changes);
      return ownersOf(made, `ExternalIP ${SHARED} 80`);
    };
    expect(owner()).toEqual(['b']);
    expect(owner(remove('Service', 'default/b'))).toEqual(['c']);
    expect(made.warnings()).toEqual([]);
    expect(owner(put(numbered('a', 1, external)))).toEqual(['a']);
    expect(owner(put(numbered('a', 1)))).toEqual(['c']);
    expect(owner(put(numbered('b', 2, external)), remove('Service', 'default/c'))).toEqual(['b']);
  });

  it('hands over in one delta', () => {
    const made = model({}, [put(numbered('b', 2, external))]);
    const delta = made.apply([put(numbered('a', 1, external))]);
    expect(delta.upserts.map((desired) => [desired.name, showFrontends(desired)])).toEqual([
      ['a', ['ClusterIP 10.96.0.1 80', `ExternalIP ${SHARED} 80`]],
      ['b', ['ClusterIP 10.96.0.2 80']],
    ]);
    expect(delta.warnings.map(({ object }) => object)).toEqual(['Service default/b']);
  });

  it('does not recompute the losers again when one more loser comes', () => {
    const made = model(
      {},
      [1, 2, 3, 4].map((n) => put(numbered(`s${n}`, n, external))),
    );
    const before = made.stats.servicesRecomputed;
    made.apply([put(numbered('s5', 5, external))]);
    expect(made.stats.servicesRecomputed - before).toBe(1);
  });
});
