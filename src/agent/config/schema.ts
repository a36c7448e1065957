import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { parseBindAddress } from '../health/bind-address.js';
import { parseDuration } from './duration.js';

const bool = z.boolean({ error: 'is neither true nor false' });
const text = z.string({ error: 'is no text; put it in quotes' });

function int(min: number, max: number) {
  const error = `is no whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

const INT32 = 2 ** 31 - 1;

/** Zero means the default everywhere, as upstream. */
const duration = text.refine((value) => value === '' || (parseDuration(value) ?? -1) >= 0, {
  error: 'is no duration; write it like 30s or 1h30m',
});

const bindAddress = text.refine((value) => value === '' || parseBindAddress(value, 1) !== undefined, {
  error: 'is no address with a port; write it like 0.0.0.0:10256 or [::]:10256',
});

const isCidr = (value: string) => ipaddr.isValidCIDR(value);
const CIDR = 'is no address range; write it like 10.0.0.0/8 or fd00::/8';
const cidr = text.refine(isCidr, { error: CIDR });

const oneOf = (what: string, values: readonly [string, ...string[]]) =>
  z.enum(['', ...values], { error: `is no ${what}; it is one of ${values.join(', ')}` });

const quantity = z.union([z.string(), z.number()], { error: 'is no quantity; write it like 64Ki' });

const streams = z.strictObject({ splitStream: bool.optional(), infoBufferSize: quantity.optional() });

const nodePortAddresses = z
  .array(
    text.refine((value) => value === 'primary' || isCidr(value), { error: `${CIDR}, or primary` }),
    {
      error: 'is no list',
    },
  )
  .refine((list) => list.length < 2 || !list.includes('primary'), {
    error: 'has primary and address ranges; it is one or the other',
  });

/** kubeproxy.config.k8s.io/v1alpha1 of Kubernetes 1.36, and the fields of older releases that are no more. */
export const kubeProxyConfiguration = z.strictObject({
  apiVersion: z.literal('kubeproxy.config.k8s.io/v1alpha1', {
    error: 'is not kubeproxy.config.k8s.io/v1alpha1',
  }),
  kind: z.literal('KubeProxyConfiguration', { error: 'is not KubeProxyConfiguration' }),
  /** Shunt's own: `--replace-kube-proxy`. kube-proxy warns about the unknown field and goes on. */
  replaceKubeProxy: bool.optional(),
  featureGates: z.record(z.string(), bool, { error: 'is no map of names to true or false' }).optional(),
  clientConnection: z
    .strictObject({
      kubeconfig: text.optional(),
      acceptContentTypes: text.optional(),
      contentType: text.optional(),
      qps: z.number({ error: 'is no number' }).optional(),
      burst: int(0, INT32).optional(),
    })
    .optional(),
  logging: z
    .strictObject({
      format: oneOf('log format', ['text', 'json']).optional(),
      flushFrequency: z
        .union([duration, z.number()], { error: 'is no duration; write it like 5s' })
        .optional(),
      verbosity: int(0, INT32).optional(),
      vmodule: z.array(z.unknown(), { error: 'is no list' }).optional(),
      options: z.strictObject({ text: streams.optional(), json: streams.optional() }).optional(),
    })
    .optional(),
  hostnameOverride: text.optional(),
  bindAddress: text
    .refine((value) => value === '' || isIP(value) !== 0, { error: 'is no IP address' })
    .optional(),
  healthzBindAddress: bindAddress.optional(),
  metricsBindAddress: bindAddress.optional(),
  bindAddressHardFail: bool.optional(),
  enableProfiling: bool.optional(),
  showHiddenMetricsForVersion: text
    .refine((value) => /^(\d+\.\d+)?$/.test(value), { error: 'is no release; write it like 1.35' })
    .optional(),
  mode: oneOf('proxy mode of Linux', ['iptables', 'ipvs', 'nftables']).optional(),
  iptables: z
    .strictObject({
      masqueradeBit: int(0, 31).optional(),
      masqueradeAll: bool.optional(),
      localhostNodePorts: bool.optional(),
      syncPeriod: duration.optional(),
      minSyncPeriod: duration.optional(),
    })
    .optional(),
  ipvs: z
    .strictObject({
      syncPeriod: duration.optional(),
      minSyncPeriod: duration.optional(),
      scheduler: text.optional(),
      excludeCIDRs: z.array(cidr, { error: 'is no list' }).optional(),
      strictARP: bool.optional(),
      tcpTimeout: duration.optional(),
      tcpFinTimeout: duration.optional(),
      udpTimeout: duration.optional(),
    })
    .optional(),
  nftables: z
    .strictObject({
      masqueradeBit: int(0, 31).optional(),
      masqueradeAll: bool.optional(),
      syncPeriod: duration.optional(),
      minSyncPeriod: duration.optional(),
    })
    .optional(),
  winkernel: z
    .strictObject({
      networkName: text.optional(),
      sourceVip: text.optional(),
      enableDSR: bool.optional(),
      rootHnsEndpointName: text.optional(),
      forwardHealthCheckVip: bool.optional(),
    })
    .optional(),
  detectLocalMode: oneOf('way to find local traffic', [
    'ClusterCIDR',
    'NodeCIDR',
    'BridgeInterface',
    'InterfaceNamePrefix',
  ]).optional(),
  detectLocal: z
    .strictObject({ bridgeInterface: text.optional(), interfaceNamePrefix: text.optional() })
    .optional(),
  clusterCIDR: text
    .refine((value) => value.trim() === '' || value.split(',').every((part) => isCidr(part.trim())), {
      error: CIDR,
    })
    .optional(),
  nodePortAddresses: nodePortAddresses.optional(),
  oomScoreAdj: int(-1000, 1000).optional(),
  conntrack: z
    .strictObject({
      maxPerCore: int(0, INT32).optional(),
      min: int(0, INT32).optional(),
      tcpEstablishedTimeout: duration.optional(),
      tcpCloseWaitTimeout: duration.optional(),
      tcpBeLiberal: bool.optional(),
      udpTimeout: duration.optional(),
      udpStreamTimeout: duration.optional(),
      /** Of old releases. */
      max: int(0, INT32).optional(),
    })
    .optional(),
  configSyncPeriod: duration.optional(),
  portRange: text.optional(),
  windowsRunAsService: bool.optional(),
  /** Of old releases. */
  udpIdleTimeout: duration.optional(),
});

export type KubeProxyConfiguration = z.infer<typeof kubeProxyConfiguration>;

/** What kube-proxy takes where nothing is given. */
export const DEFAULT_CONFIGURATION = {
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  featureGates: {},
  clientConnection: {
    kubeconfig: '',
    acceptContentTypes: '',
    contentType: 'application/vnd.kubernetes.protobuf',
    qps: 5,
    burst: 10,
  },
  logging: {
    format: 'text',
    flushFrequency: '5s',
    verbosity: 0,
    options: { text: { infoBufferSize: '0' }, json: { infoBufferSize: '0' } },
  },
  hostnameOverride: '',
  bindAddress: '0.0.0.0',
  healthzBindAddress: '',
  metricsBindAddress: '',
  bindAddressHardFail: false,
  enableProfiling: false,
  showHiddenMetricsForVersion: '',
  mode: 'iptables',
  iptables: {
    masqueradeBit: 14,
    masqueradeAll: false,
    localhostNodePorts: true,
    syncPeriod: '30s',
    minSyncPeriod: '1s',
  },
  ipvs: {
    syncPeriod: '30s',
    minSyncPeriod: '1s',
    scheduler: '',
    excludeCIDRs: [],
    strictARP: false,
    tcpTimeout: '0s',
    tcpFinTimeout: '0s',
    udpTimeout: '0s',
  },
  nftables: { masqueradeBit: 14, masqueradeAll: false, syncPeriod: '30s', minSyncPeriod: '1s' },
  winkernel: {
    networkName: '',
    sourceVip: '',
    enableDSR: false,
    rootHnsEndpointName: '',
    forwardHealthCheckVip: false,
  },
  detectLocalMode: 'ClusterCIDR',
  detectLocal: { bridgeInterface: '', interfaceNamePrefix: '' },
  clusterCIDR: '',
  nodePortAddresses: [],
  conntrack: {
    maxPerCore: 32768,
    min: 131072,
    tcpEstablishedTimeout: '24h0m0s',
    tcpCloseWaitTimeout: '1h0m0s',
    tcpBeLiberal: false,
    udpTimeout: '0s',
    udpStreamTimeout: '0s',
  },
  configSyncPeriod: '15m0s',
  portRange: '',
  windowsRunAsService: false,
} satisfies KubeProxyConfiguration;
