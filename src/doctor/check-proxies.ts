import { names } from './check-network.js';
import type { Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

export function checkProxies(facts: Facts): Finding[] {
  return [...checkKubeProxy(facts), ...checkOthers(facts)];
}

function checkKubeProxy({ kubeProxy, intent, links }: Facts): Finding[] {
  const findings: Finding[] = [];
  const { proxyMode, chains, legacyTables, ipvsServices } = kubeProxy;
  const replaces = intent.replaceKubeProxy;
  if (proxyMode !== undefined) {
    findings.push(
      finding(
        replaces ? 'fail' : 'info',
        'kube-proxy/running',
        `kube-proxy runs in ${proxyMode} mode: it answers on port 10249`,
        replaces
          ? 'both serve the same Services: flows that Shunt hands up, and those it does not see, are translated by kube-proxy'
          : 'it leaves Services labelled service.kubernetes.io/service-proxy-name: shunt to Shunt',
        replaces ? "stop it first, see 'shunt takeover --check' and docs/MIGRATE.md" : '',
      ),
    );
  }
  const rules = rulesOf(chains);
  if (ipvsServices > 0) rules.push(`${ipvsServices} IPVS services`);
  if (rules.length > 0 && proxyMode === undefined) {
    findings.push(
      finding(
        'warn',
        'kube-proxy/rules',
        `rules of kube-proxy are there, but it does not answer: ${rules.join(', ')}`,
        replaces
          ? 'they translate what Shunt hands up, and grow stale'
          : 'unlabelled Services are served by rules that nobody updates',
        replaces ? "'shunt takeover --do' removes them in a safe order" : 'start kube-proxy again',
      ),
    );
  } else if (rules.length > 0) {
    findings.push(
      finding(
        'info',
        'kube-proxy/rules',
        rules.join(', '),
        'they translate the Services that kube-proxy serves',
      ),
    );
  }
  if (chains === undefined) {
    findings.push(
      finding(
        'info',
        'kube-proxy/rules',
        'the rules of nf_tables could not be listed',
        'rules of kube-proxy in them are not seen here',
      ),
    );
  }
  if (legacyTables.includes('nat')) {
    findings.push(
      finding(
        'info',
        'kube-proxy/legacy',
        'iptables-legacy has a nat table',
        'its rules are not looked into here',
        "'iptables-legacy-save -t nat' shows them, 'shunt takeover --check' judges them",
      ),
    );
  }
  if (links.some(({ name }) => name === 'kube-ipvs0') && ipvsServices === 0) {
    findings.push(
      finding(
        'warn',
        'kube-proxy/ipvs-device',
        'the device kube-ipvs0 is there without IPVS services',
        'cluster IPs on it count as addresses of this node: their packets never leave it',
        'ip link delete kube-ipvs0',
      ),
    );
  }
  if (findings.length === 0) {
    findings.push(
      replaces
        ? ok('kube-proxy', 'no kube-proxy, and no rules of one')
        : finding(
            'info',
            'kube-proxy',
            'no kube-proxy answers, and there are no rules of one',
            'Services without the label for Shunt are served by nobody, unless another proxy does',
            'pass --replace-kube-proxy to serve all',
          ),
    );
  }
  return findings;
}

function rulesOf(chains: Facts['kubeProxy']['chains'] = []): string[] {
  // KUBE-FIREWALL, KUBE-KUBELET-CANARY and KUBE-IPTABLES-HINT are the kubelet's.
  const iptables = chains.filter(({ name }) => /^KUBE-(SERVICES|NODEPORTS|SVC-|SEP-|POSTROUTING)/.test(name));
  const nftables = chains.filter(({ table }) => table === 'kube-proxy');
  const texts: string[] = [];
  if (iptables.length > 0) texts.push(`${iptables.length} KUBE-* chains of iptables`);
  if (nftables.length > 0) texts.push(`${nftables.length} chains in nftables' table kube-proxy`);
  return texts;
}

const OTHERS: { name: string; device: RegExp; program?: RegExp; advice: string }[] = [
  {
    name: 'Cilium',
    device: /^(cilium_|lxc)/,
    program: /^cil_/,
    advice: 'if it replaces kube-proxy (kubeProxyReplacement), switch that off, or do without Shunt',
  },
  {
    name: 'Calico with its eBPF data path',
    device: /^bpf(in|out)\.cali$/,
    program: /^cali_/,
    advice: 'set linuxDataplane to Iptables or Nftables, or do without Shunt',
  },
  {
    name: 'kube-router',
    device: /^kube-(bridge|dummy-if)$/,
    advice: 'run it with --run-service-proxy=false',
  },
];

function checkOthers({ links, devices }: Facts): Finding[] {
  const programs = devices.flatMap(({ hooks }) => hooks.flatMap((hook) => hook.programs));
  const findings = OTHERS.flatMap(({ name, device, program, advice }) => {
    const found = [
      ...links.filter((link) => device.test(link.name)).map((link) => `device ${link.name}`),
      ...programs.flatMap((p) => (p.name && program?.test(p.name) ? [`program ${p.name}`] : [])),
    ];
    if (found.length === 0) return [];
    return finding(
      'warn',
      `proxy/${name.split(' ')[0]?.toLowerCase()}`,
      `${name} is here: ${names([...new Set(found)])}`,
      'if it serves Services itself, it and Shunt translate the same packets',
      advice,
    );
  });
  return findings.length > 0 ? findings : [ok('proxy', 'no trace of another service proxy')];
}
