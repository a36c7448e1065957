import type { EndpointObject, EndpointSliceObject } from '../model/objects.js';
import type { EndpointsObject } from './convert-endpoints.js';
import { familyOf } from './ip.js';

/**
 * Slices as the control plane's mirroring makes them of hand-made Endpoints: one per subset and family, readiness as
 * the only condition. Their names hold colons, which no real object's name can.
 */
export function mirrorEndpoints(endpoints: EndpointsObject): EndpointSliceObject[] {
  const slices: EndpointSliceObject[] = [];
  for (const [index, subset] of endpoints.subsets.entries()) {
    for (const family of [4, 6] as const) {
      const addresses = subset.addresses.filter(({ ip }) => familyOf(ip) === family);
      if (addresses.length === 0) continue;
      slices.push({
        namespace: endpoints.namespace,
        name: `${endpoints.name}:endpoints:ipv${family}:${index}`,
        serviceName: endpoints.name,
        addressType: family === 4 ? 'IPv4' : 'IPv6',
        headless: false,
        ports: subset.ports,
        endpoints: addresses.map(({ ip, ready, nodeName }): EndpointObject => {
          return { addresses: [ip], ready, ...(nodeName === undefined ? {} : { nodeName }) };
        }),
      });
    }
  }
  return slices;
}
