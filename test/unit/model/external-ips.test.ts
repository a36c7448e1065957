import { describe, expect, it } from 'vitest';
import { Model, type ModelOptions } from '../../../src/model/model.js';
import type { ServiceObject, Warning } from '../../../src/model/objects.js';
import { model, node, port, put, remove, service, showFrontends } from './builders.js';

function frontends(fields: Partial<ServiceObject>, options: Partial<ModelOptions> = {}): string[] {
  const made = model(options, [put(service(fields))]);
  return made.desired().flatMap(showFrontends);
}

describe('SEMANTICS 2: external IPs and their allow-list', () => {
  const DEFAULT: [string, string, boolean][] = [
    ['an outside address', '192.0.2.9', true],
    ['a private outside address', '172.16.0.9', true],
    ['inside the cluster IP range', '10.96.3.4', false],
    ['inside the pod range', '10.1.3.4', false],
    ['inside the pod range of a Node', '10.200.1.7', false],
    ['loopback', '127.0.0.1', false],
    ['link-local', '169.254.169.254', false],
    ['multicast', '224.0.0.1', false],
    ['broadcast', '255.255.255.255', false],
    ['the cluster IP of another Service', '172.20.0.1', false],
  ];
  it.each(DEFAULT)('by default, %s (%s): %s', (_, ip, accepted) => {
    const made = model({ serviceCidrs: ['10.96.0.0/16'], podCidrs: ['10.1.0.0/16'] }, [
      put(service({ externalIPs: [ip] })),
      put(service({ name: 'other', clusterIPs: ['172.20.0.1'] })),
      put(node('n2', { podCIDRs: ['10.200.1.0/24'] })),
    ]);
    const web = made.desired().find(({ name }) => name === 'web');
    expect(showFrontends(web).includes(`ExternalIP ${ip} 80`)).toBe(accepted);
    expect(made.warnings().map(({ field }) => field)).toEqual(accepted ? [] : ['spec.externalIPs']);
  });

  it.each<[string, string[], string, boolean]>([
    ['a list accepts what lies in it', ['192.0.2.0/24'], '192.0.2.9', true],
    ['a list refuses what does not', ['192.0.2.0/24'], '198.51.100.1', false],
    ['a list may even name the cluster IP range', ['10.96.0.0/16'], '10.96.3.4', true],
    ['an empty list means none', [], '192.0.2.9', false],
    ['a list of nothing valid means none', ['nonsense'], '192.0.2.9', false],
    ['a list with one valid entry is that entry', ['nonsense', '192.0.2.0/24'], '192.0.2.9', true],
    ['a list of the other family refuses', ['::/0'], '192.0.2.9', false],
  ])('%s', (_, externalIpCidrs, ip, accepted) => {
    const found = frontends({ externalIPs: [ip] }, { externalIpCidrs, serviceCidrs: ['10.96.0.0/16'] });
    expect(found.includes(`ExternalIP ${ip} 80`)).toBe(accepted);
  });

  it('reports configuration that can not be read once, with the first delta', () => {
    const made = new Model({
      nodeName: 'n1',
      serveAll: true,
      externalIpCidrs: ['nonsense'],
      serviceCidrs: ['10.96.0.0'],
    });
    const expected = ['configuration externalIpCidrs[0]', 'configuration serviceCidrs[0]'];
    const show = ({ object, field }: Warning): string => `${object} ${field}`;
    expect(made.apply([]).warnings.map(show)).toEqual(expected);
    expect(made.apply([]).warnings).toEqual([]);
    expect(made.warnings().map(show)).toEqual(expected);
    expect(made.setClusterRanges({ serviceCidrs: ['10.96.0.0/33'] }).warnings.map(show)).toEqual([
      'configuration serviceCidrs[0]',
    ]);
    expect(made.warnings()).toHaveLength(2);
  });

  it('judges again when the ranges, a Node or a cluster IP become known', () => {
    const made = model({}, [put(service({ externalIPs: ['10.1.0.9'] }))]);
    const listens = (): boolean => made.desired().flatMap(showFrontends).includes('ExternalIP 10.1.0.9 80');
    expect(listens()).toBe(true);
    made.setClusterRanges({ podCidrs: ['10.1.0.0/16'] });
    expect(listens()).toBe(false);
    made.setClusterRanges({ podCidrs: [] });
    expect(listens()).toBe(true);
    made.apply([put(node('n7', { podCIDRs: ['10.1.0.0/24'] }))]);
    expect(listens()).toBe(false);
    made.apply([remove('Node', 'n7')]);
    expect(listens()).toBe(true);
    made.apply([put(service({ name: 'other', clusterIPs: ['10.1.0.9'], ports: [port({ port: 81 })] }))]);
    expect(listens()).toBe(false);
    made.apply([remove('Service', 'default/other')]);
    expect(listens()).toBe(true);
    expect(made.warnings()).toEqual([]);
  });
});
