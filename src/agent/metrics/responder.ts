import { type Answer, NOT_FOUND, type Respond } from '../health/listener.js';

export interface MetricsResponderOptions {
  scrape: () => Promise<string>;
  contentType: string;
  /** What kube-proxy would say: iptables, ipvs or nftables. */
  proxyMode: string;
  /** The configuration in use, a KubeProxyConfiguration. */
  configz: () => unknown;
}

const NOSNIFF = { 'X-Content-Type-Options': 'nosniff' };

/** What kube-proxy answers on its metrics port. */
export function metricsResponder(o: MetricsResponderOptions): Respond {
  return async (path): Promise<Answer> => {
    switch (path) {
      case '/metrics':
        return { status: 200, headers: { 'Content-Type': o.contentType }, body: await o.scrape() };
      case '/healthz':
        return text('ok');
      case '/proxyMode':
        return { ...text(o.proxyMode), headers: { ...text('').headers, 'X-Shunt-Mode': 'ebpf' } };
      case '/configz':
        return {
          status: 200,
          headers: { 'Content-Type': 'application/json', ...NOSNIFF },
          body: JSON.stringify({ 'kubeproxy.config.k8s.io': o.configz() }),
        };
      default:
        return NOT_FOUND;
    }
  };
}

function text(body: string): Answer {
  return { status: 200, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...NOSNIFF }, body };
}
