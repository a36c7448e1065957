import type { Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

export function checkApi({ api, intent }: Facts): Finding[] {
  if (api === undefined) {
    return [
      finding(
        'info',
        'api',
        'not asked: neither in a pod nor with --kubeconfig',
        'rights and reachability are not known',
        'pass --kubeconfig',
      ),
    ];
  }
  if ('error' in api) {
    return [finding('fail', 'api', api.error, 'the agent does not start', 'see the message')];
  }
  const findings: Finding[] = [];
  for (const [what, answer] of Object.entries(api.answers)) {
    const id = `api/${what.replace(' ', '-')}`;
    if ('error' in answer) {
      findings.push(
        finding(
          'fail',
          id,
          `${what}: ${answer.error}`,
          'the agent serves what the maps hold already, and learns nothing new',
          `reach ${api.server} from this node: check routes, firewall and certificates`,
        ),
      );
      // The others fail for the same reason.
      break;
    }
    if (answer.status === 200) continue;
    const optional = what.endsWith('servicecidrs');
    if (optional && answer.status === 404) continue;
    findings.push(
      finding(
        optional ? 'info' : 'fail',
        id,
        `${what}: ${answer.status} ${answer.detail}`,
        optional
          ? 'ranges of cluster IPs are not learned from the cluster'
          : 'the agent never begins to serve',
        answer.status === 401
          ? 'the credentials are wrong or expired: make new ones'
          : 'grant it to the service account (deploy/base/rbac.yaml)',
      ),
    );
  }
  if (findings.length === 0) {
    findings.push(ok('api', `${api.server} answers, and grants all that is needed`));
  }
  if (api.throughService && intent.replaceKubeProxy) {
    findings.push(
      finding(
        'warn',
        'api/address',
        `the API server is reached by a cluster IP (${api.server})`,
        'after a reboot without kube-proxy nobody serves that address: the agent never starts',
        'set KUBERNETES_SERVICE_HOST and _PORT to an address that works without a proxy (ConfigMap shunt-api-server in deploy/)',
      ),
    );
  }
  return findings;
}
