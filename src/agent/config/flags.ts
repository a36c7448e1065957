/** kube-proxy's command line, flag by flag: what it sets here, or why it does nothing. */

export type FlagKind = 'bool' | 'int' | 'float' | 'duration' | 'string' | 'list' | 'gates';

export interface KubeProxyFlag {
  /** Without dashes, words joined by '-'; `_` between them is accepted as well. */
  name: string;
  short?: string;
  kind: FlagKind;
  /** Fields of KubeProxyConfiguration that it sets; none: not part of the file. */
  paths: readonly string[];
  help: string;
  /** Accepted, and a warning says this: why it does nothing. */
  ignored?: string;
}

export interface FlagGroup {
  heading: string;
  flags: readonly KubeProxyFlag[];
}

const RULES =
  'there are no rules to refresh: every change is written when it comes, at a cost of its own size';
const IPVS = 'there is no ipvs here';
const LINES = 'lines are JSON on the standard output, one at a time';
const CONNTRACK =
  'service flows are in a table of their own (--max-flows), and nf_conntrack is left alone; where other traffic needs this, set the sysctl net.netfilter';
const API = 'the API server sees three lists and watches, in JSON, and nothing else';

/** Why a field, from flag or file, does nothing; those that are not here have an effect. */
export const IGNORED_FIELDS: Readonly<Record<string, string>> = {
  'clientConnection.acceptContentTypes': API,
  'clientConnection.contentType': API,
  'clientConnection.qps': API,
  'clientConnection.burst': API,
  'iptables.masqueradeBit': 'no packet is marked',
  'nftables.masqueradeBit': 'no packet is marked',
  'iptables.localhostNodePorts':
    "a loopback NodePort serves this node's own processes only; name the addresses that take NodePorts with --nodeport-addresses to have none",
  'iptables.minSyncPeriod': RULES,
  'nftables.minSyncPeriod': RULES,
  'ipvs.minSyncPeriod': RULES,
  'ipvs.scheduler': `${IPVS}; --default-algorithm chooses how backends are picked`,
  'ipvs.excludeCIDRs': IPVS,
  'ipvs.strictARP': 'no service address is put on a device, so ARP needs no help',
  'ipvs.tcpTimeout': IPVS,
  'ipvs.tcpFinTimeout': IPVS,
  'ipvs.udpTimeout': IPVS,
  'conntrack.maxPerCore': `${CONNTRACK}.nf_conntrack_max`,
  'conntrack.min': `${CONNTRACK}.nf_conntrack_max`,
  'conntrack.max': `${CONNTRACK}.nf_conntrack_max`,
  'conntrack.tcpBeLiberal': `${CONNTRACK}.nf_conntrack_tcp_be_liberal`,
  'conntrack.udpTimeout': `${CONNTRACK}.nf_conntrack_udp_timeout`,
  'conntrack.udpStreamTimeout': `${CONNTRACK}.nf_conntrack_udp_timeout_stream`,
  configSyncPeriod: 'objects are followed by watches, and listed again only when a watch is lost for good',
  featureGates: 'Shunt has no feature gates',
  enableProfiling: 'there are no Go profiles of a program that is not Go',
  showHiddenMetricsForVersion: 'no metric is hidden',
  portRange: 'it was for the userspace mode',
  udpIdleTimeout: 'it was for the userspace mode',
  windowsRunAsService: 'this is Linux',
  'winkernel.networkName': 'this is Linux',
  'winkernel.sourceVip': 'this is Linux',
  'winkernel.enableDSR': 'this is Linux',
  'winkernel.rootHnsEndpointName': 'this is Linux',
  'winkernel.forwardHealthCheckVip': 'this is Linux',
  'detectLocal.bridgeInterface':
    'ports of a bridge that lead to pods are found by themselves; see --pod-devices',
  'logging.format': LINES,
  'logging.flushFrequency': LINES,
  'logging.vmodule': LINES,
  'logging.options.text.splitStream': LINES,
  'logging.options.text.infoBufferSize': LINES,
  'logging.options.json.splitStream': LINES,
  'logging.options.json.infoBufferSize': LINES,
};

const ignoredByPath = (name: string, kind: FlagKind, path: string): KubeProxyFlag => ({
  name,
  kind,
  paths: [path],
  help: IGNORED_FIELDS[path] as string,
  ignored: IGNORED_FIELDS[path] as string,
});

const ignoredAlone = (name: string, kind: FlagKind, why: string): KubeProxyFlag => ({
  name,
  kind,
  paths: [],
  help: why,
  ignored: why,
});

export const FLAG_GROUPS = {
  configuration: {
    heading: 'Configuration (flags beat the file):',
    flags: [
      { name: 'config', kind: 'string', paths: [], help: 'a KubeProxyConfiguration, YAML or JSON' },
      {
        name: 'write-config-to',
        kind: 'string',
        paths: [],
        help: 'write the configuration that results there, and exit',
      },
      {
        name: 'cleanup',
        kind: 'bool',
        paths: [],
        help: 'remove everything that Shunt attached and pinned, and exit',
      },
      {
        name: 'init-only',
        kind: 'bool',
        paths: [],
        help: 'exit at once: there is nothing that root must do before',
      },
      { name: 'version', kind: 'string', paths: [], help: 'print the version, and exit' },
    ],
  },
  objects: {
    heading: 'Where objects come from:',
    flags: [
      {
        name: 'kubeconfig',
        kind: 'string',
        paths: ['clientConnection.kubeconfig'],
        help: 'take objects from the API server that this kubeconfig names',
      },
      {
        name: 'master',
        kind: 'string',
        paths: [],
        help: 'address of the API server, instead of that in the kubeconfig',
      },
      {
        name: 'hostname-override',
        kind: 'string',
        paths: ['hostnameOverride'],
        help: 'name of this Node (default: the host name)',
      },
    ],
  },
  services: {
    heading: 'What is served, and how:',
    flags: [
      {
        name: 'nodeport-addresses',
        kind: 'list',
        paths: ['nodePortAddresses'],
        help: 'CIDRs, or primary (default: every address of the node; primary in mode nftables)',
      },
      {
        name: 'cluster-cidr',
        kind: 'string',
        paths: ['clusterCIDR'],
        help: 'CIDRs of the pods of the whole cluster',
      },
      {
        name: 'detect-local-mode',
        kind: 'string',
        paths: ['detectLocalMode'],
        help: 'who is a pod besides pod devices: ClusterCIDR (default), InterfaceNamePrefix, NodeCIDR, BridgeInterface',
      },
      {
        name: 'pod-interface-name-prefix',
        kind: 'string',
        paths: ['detectLocal.interfaceNamePrefix'],
        help: 'devices that lead to pods, with --detect-local-mode=InterfaceNamePrefix',
      },
      {
        name: 'masquerade-all',
        kind: 'bool',
        paths: ['iptables.masqueradeAll', 'nftables.masqueradeAll'],
        help: 'masquerade all traffic to cluster IPs',
      },
      {
        name: 'proxy-mode',
        kind: 'string',
        paths: ['mode'],
        help: 'iptables, ipvs or nftables: whose defaults to keep and what /proxyMode answers',
      },
      {
        name: 'conntrack-tcp-timeout-established',
        kind: 'duration',
        paths: ['conntrack.tcpEstablishedTimeout'],
        help: 'idle time after which a TCP flow is forgotten (default: 24h)',
      },
      {
        name: 'conntrack-tcp-timeout-close-wait',
        kind: 'duration',
        paths: ['conntrack.tcpCloseWaitTimeout'],
        help: 'the same once one side has sent its FIN (default: 1h)',
      },
    ],
  },
  endpoints: {
    heading: 'Health, metrics and log:',
    flags: [
      {
        name: 'bind-address',
        kind: 'string',
        paths: ['bindAddress'],
        help: 'an IPv6 address makes the next two default to IPv6',
      },
      {
        name: 'healthz-bind-address',
        kind: 'string',
        paths: ['healthzBindAddress'],
        help: 'where /healthz and /livez answer; empty: nowhere (default: 0.0.0.0:10256, beside kube-proxy :10276)',
      },
      {
        name: 'metrics-bind-address',
        kind: 'string',
        paths: ['metricsBindAddress'],
        help: 'where /metrics answers; empty: nowhere (default: 127.0.0.1:10249, beside kube-proxy :10269)',
      },
      {
        name: 'bind-address-hard-fail',
        kind: 'bool',
        paths: ['bindAddressHardFail'],
        help: 'do not start when one of them cannot be had',
      },
      {
        name: 'iptables-sync-period',
        kind: 'duration',
        paths: ['iptables.syncPeriod', 'nftables.syncPeriod'],
        help: '/healthz fails when a change has waited twice as long (default: 30s)',
      },
      {
        name: 'ipvs-sync-period',
        kind: 'duration',
        paths: ['ipvs.syncPeriod'],
        help: 'the same in mode ipvs',
      },
      { name: 'oom-score-adj', kind: 'int', paths: ['oomScoreAdj'], help: 'oom_score_adj of the agent' },
      {
        name: 'v',
        short: 'v',
        kind: 'int',
        paths: ['logging.verbosity'],
        help: 'verbosity of the log: 4 is debug, 6 is trace; --log-level beats it',
      },
    ],
  },
  accepted: {
    heading: "kube-proxy's, accepted with a warning that says why they do nothing:",
    flags: [
      ignoredAlone('boot-id-file', 'string', 'the boot is not looked up'),
      ignoredAlone('machine-id-file', 'string', 'the machine is not looked up'),
      ignoredByPath('config-sync-period', 'duration', 'configSyncPeriod'),
      ignoredByPath('conntrack-max-per-core', 'int', 'conntrack.maxPerCore'),
      ignoredByPath('conntrack-min', 'int', 'conntrack.min'),
      ignoredByPath('conntrack-tcp-be-liberal', 'bool', 'conntrack.tcpBeLiberal'),
      ignoredByPath('conntrack-udp-timeout', 'duration', 'conntrack.udpTimeout'),
      ignoredByPath('conntrack-udp-timeout-stream', 'duration', 'conntrack.udpStreamTimeout'),
      ignoredByPath('feature-gates', 'gates', 'featureGates'),
      ignoredByPath('iptables-localhost-nodeports', 'bool', 'iptables.localhostNodePorts'),
      ignoredByPath('iptables-masquerade-bit', 'int', 'iptables.masqueradeBit'),
      ignoredByPath('iptables-min-sync-period', 'duration', 'iptables.minSyncPeriod'),
      ignoredByPath('ipvs-exclude-cidrs', 'list', 'ipvs.excludeCIDRs'),
      ignoredByPath('ipvs-min-sync-period', 'duration', 'ipvs.minSyncPeriod'),
      ignoredByPath('ipvs-scheduler', 'string', 'ipvs.scheduler'),
      ignoredByPath('ipvs-strict-arp', 'bool', 'ipvs.strictARP'),
      ignoredByPath('ipvs-tcp-timeout', 'duration', 'ipvs.tcpTimeout'),
      ignoredByPath('ipvs-tcpfin-timeout', 'duration', 'ipvs.tcpFinTimeout'),
      ignoredByPath('ipvs-udp-timeout', 'duration', 'ipvs.udpTimeout'),
      ignoredByPath('kube-api-burst', 'int', 'clientConnection.burst'),
      ignoredByPath('kube-api-content-type', 'string', 'clientConnection.contentType'),
      ignoredByPath('kube-api-qps', 'float', 'clientConnection.qps'),
      ignoredByPath('log-flush-frequency', 'duration', 'logging.flushFrequency'),
      ignoredByPath('log-json-info-buffer-size', 'string', 'logging.options.json.infoBufferSize'),
      ignoredByPath('log-json-split-stream', 'bool', 'logging.options.json.splitStream'),
      ignoredByPath('log-text-info-buffer-size', 'string', 'logging.options.text.infoBufferSize'),
      ignoredByPath('log-text-split-stream', 'bool', 'logging.options.text.splitStream'),
      ignoredByPath('logging-format', 'string', 'logging.format'),
      ignoredByPath('pod-bridge-interface', 'string', 'detectLocal.bridgeInterface'),
      ignoredByPath('profiling', 'bool', 'enableProfiling'),
      ignoredByPath('proxy-port-range', 'string', 'portRange'),
      ignoredByPath('show-hidden-metrics-for-version', 'string', 'showHiddenMetricsForVersion'),
      ignoredAlone('vmodule', 'string', LINES),
      ignoredAlone('add-dir-header', 'bool', LINES),
      ignoredAlone('alsologtostderr', 'bool', LINES),
      ignoredAlone('log-backtrace-at', 'string', LINES),
      ignoredAlone('log-dir', 'string', LINES),
      ignoredAlone('log-file', 'string', LINES),
      ignoredAlone('log-file-max-size', 'int', LINES),
      ignoredAlone('logtostderr', 'bool', LINES),
      ignoredAlone('one-output', 'bool', LINES),
      ignoredAlone('skip-headers', 'bool', LINES),
      ignoredAlone('skip-log-headers', 'bool', LINES),
      ignoredAlone('stderrthreshold', 'int', LINES),
    ],
  },
} satisfies Record<string, FlagGroup>;

export const KUBE_PROXY_FLAGS: readonly KubeProxyFlag[] = Object.values(FLAG_GROUPS).flatMap(
  (group: FlagGroup) => group.flags,
);
