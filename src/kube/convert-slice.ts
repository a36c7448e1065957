import type { EndpointObject, EndpointPortObject, EndpointSliceObject } from '../model/objects.js';
import { PROTOCOLS } from './convert-service.js';
import type { Field, Problem } from './fields.js';
import { canonicalIp, familyOf } from './ip.js';
import { LABEL_HEADLESS, LABEL_SERVICE_NAME, labelsOf, metadataOf } from './metadata.js';

const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';

/**
 * discovery.k8s.io/v1 EndpointSlice. Throws FieldError when it is unusable. An endpoint without a usable
 * address is left out and reported; the others stay. Of FQDN slices the endpoints are not kept.
 */
export function convertEndpointSlice(raw: Field, problems: Problem[]): EndpointSliceObject {
  const { namespace, name } = metadataOf(raw);
  const labels = labelsOf(raw);
  const addressType = raw.get('addressType').oneOf(['IPv4', 'IPv6', 'FQDN'] as const);
  const slice: EndpointSliceObject = {
    namespace,
    name,
    addressType,
    headless: LABEL_HEADLESS in labels,
    ports: raw.get('ports').items().map(convertSlicePort),
    endpoints: [],
  };
  if (addressType !== 'FQDN') {
    for (const entry of raw.get('endpoints').items()) {
      const endpoint = convertEndpoint(entry, addressType, problems);
      if (endpoint !== undefined) slice.endpoints.push(endpoint);
    }
  }
  const serviceName = labels[LABEL_SERVICE_NAME];
  if (serviceName !== undefined && serviceName !== '') slice.serviceName = serviceName;
  const trigger = raw.get('metadata').get('annotations').get(TRIGGER_TIME);
  const triggerMs = typeof trigger.value === 'string' ? Date.parse(trigger.value) : Number.NaN;
  // Only good for measuring, so a wrong one is no reason to complain.
  if (!Number.isNaN(triggerMs)) slice.lastChangeTriggerTimeMs = triggerMs;
  return slice;
}

function convertSlicePort(entry: Field): EndpointPortObject {
  return {
    name: entry.get('name').optionalString() ?? '',
    protocol: entry.get('protocol').oneOf(PROTOCOLS, 'TCP'),
    port: entry.get('port').optionalInteger(0, 65_535) ?? null,
  };
}

function convertEndpoint(
  entry: Field,
  addressType: 'IPv4' | 'IPv6',
  problems: Problem[],
): EndpointObject | undefined {
  const first = entry.get('addresses').items()[0];
  const text = first?.optionalString() ?? '';
  const address = canonicalIp(text);
  if (address === undefined || familyOf(address) !== (addressType === 'IPv4' ? 4 : 6)) {
    problems.push({
      path: (first ?? entry.get('addresses')).path,
      message: `${JSON.stringify(text)} is no ${addressType} address, the endpoint is left out; correct it`,
    });
    return undefined;
  }
  const endpoint: EndpointObject = { addresses: [address] };
  const conditions = entry.get('conditions');
  for (const condition of ['ready', 'serving', 'terminating'] as const) {
    const value = conditions.get(condition).optionalBoolean();
    if (value !== undefined) endpoint[condition] = value;
  }
  const nodeName = entry.get('nodeName').optionalString() ?? '';
  if (nodeName !== '') endpoint.nodeName = nodeName;
  const zone = entry.get('zone').optionalString() ?? '';
  if (zone !== '') endpoint.zone = zone;
  const hintZones = convertHints(entry.get('hints').get('forZones'));
  if (hintZones.length > 0) endpoint.hintZones = hintZones;
  const hintNodes = convertHints(entry.get('hints').get('forNodes'));
  if (hintNodes.length > 0) endpoint.hintNodes = hintNodes;
  return endpoint;
}

function convertHints(field: Field): string[] {
  return field.items().map((hint) => hint.get('name').string());
}
