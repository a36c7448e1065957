import { describe, expect, it } from 'vitest';
import { model, node, put, remove, service, serviceCidr } from './builders.js';

const KUBERNETES = put(serviceCidr('kubernetes', '10.96.0.0/16', 'fd00:96::/112'));
const foreign = (name: string, ...clusterIPs: string[]) =>
  put(service({ name, clusterIPs, proxyName: 'other' }));

describe('ranges of cluster IPs', () => {
  it('are those configured and those of ServiceCIDRs, each once, both families', () => {
    const made = model({ serviceCidrs: ['10.96.0.0/16', '10.8.0.0/24'] });
    expect(made.clusterRanges.service).toEqual(['10.8.0.0/24', '10.96.0.0/16']);
    expect(made.apply([KUBERNETES]).clusterRanges?.service).toEqual([
      '10.8.0.0/24',
      '10.96.0.0/16',
      'fd00:96::/112',
    ]);
  });

  it('follow the objects: a second one, another range, the last one gone', () => {
    const made = model({}, [KUBERNETES]);
    expect(made.apply([put(serviceCidr('more', '10.97.0.0/16'))]).clusterRanges?.service).toEqual([
      '10.96.0.0/16',
      '10.97.0.0/16',
      'fd00:96::/112',
    ]);
    expect(made.apply([put(serviceCidr('more', '10.98.0.0/16'))]).clusterRanges?.service).toContain(
      '10.98.0.0/16',
    );
    expect(made.apply([remove('ServiceCIDR', 'more')]).clusterRanges?.service).not.toContain('10.98.0.0/16');
    expect(made.apply([remove('ServiceCIDR', 'kubernetes')]).clusterRanges).toEqual({
      service: [],
      foreign: [],
    });
  });

  it('are told only when they are other ones', () => {
    const made = model({ serviceCidrs: ['10.96.0.0/16'] });
    const delta = made.apply([
      put(serviceCidr('kubernetes', '10.96.0.0/16')),
      put(service()),
      put(node('n1')),
    ]);
    expect(delta.clusterRanges).toBeUndefined();
  });

  it('what is no range is reported and left out', () => {
    const made = model();
    const delta = made.apply([put(serviceCidr('odd', '10.96.0.0', ' fd00:96::/112'))]);
    expect(delta.warnings.map(({ object, field }) => `${object} ${field}`)).toEqual([
      'ServiceCIDR odd spec.cidrs[0]',
    ]);
    expect(delta.clusterRanges?.service).toEqual(['fd00:96::/112']);
    expect(made.warnings()).toHaveLength(1);
    expect(made.apply([remove('ServiceCIDR', 'odd')]).clusterRanges?.service).toEqual([]);
    expect(made.warnings()).toEqual([]);
  });

  it('drop nothing beside another proxy: most addresses in them are its own', () => {
    const made = model({ serveAll: false, serviceCidrs: ['10.8.0.0/24'] }, [KUBERNETES]);
    expect(made.clusterRanges).toEqual({ service: [], foreign: [] });
  });

  it('leave out the addresses of Services that name another proxy', () => {
    const made = model({}, [KUBERNETES, put(service())]);
    const delta = made.apply([foreign('a', '10.96.0.77', 'fd00:96::77'), foreign('b', '10.4.0.1')]);
    expect(delta.clusterRanges?.foreign).toEqual(['10.96.0.77', 'fd00:96::77']);
    const ours = made.apply([put(service({ name: 'a', clusterIPs: ['10.96.0.77', 'fd00:96::77'] }))]);
    expect(ours.clusterRanges?.foreign).toEqual([]);
  });

  it('an address without data path has no Service: ExternalName with a left-over cluster IP', () => {
    const left = put(
      service({ name: 'x', type: 'ExternalName', clusterIPs: ['10.96.0.5'], proxyName: 'other' }),
    );
    expect(model({}, [KUBERNETES, left]).clusterRanges.foreign).toEqual([]);
  });

  it('an external IP in a learned range is refused, and accepted when the range goes', () => {
    const made = model({}, [put(service({ externalIPs: ['10.97.0.9'] }))]);
    const external = () =>
      made.desired().flatMap(({ frontends }) => frontends.filter(({ type }) => type === 'ExternalIP'));
    expect(external()).toHaveLength(1);
    made.apply([put(serviceCidr('more', '10.97.0.0/16'))]);
    expect(external()).toEqual([]);
    made.apply([remove('ServiceCIDR', 'more')]);
    expect(external()).toHaveLength(1);
  });
});
