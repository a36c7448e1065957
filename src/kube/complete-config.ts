import { KubeConfig } from '@kubernetes/client-node';

/**
 * Fills two gaps of the library: it refuses a plain-http server unless TLS verification is off, and it forgets the
 * certificate authority when the context has no user.
 */
export function completeConfig(config: KubeConfig): KubeConfig {
  const plain = config.getCurrentCluster()?.server.startsWith('http:') === true;
  const anonymous = config.getCurrentUser() === null;
  if (!plain && !anonymous) return config;
  const completed = new KubeConfig();
  const context = config.getCurrentContext();
  completed.loadFromOptions({
    clusters: config.clusters.map((each) => (plain ? { ...each, skipTLSVerify: true } : each)),
    users: anonymous ? [...config.users, { name: 'shunt-anonymous' }] : config.users,
    contexts: config.contexts.map((each) =>
      anonymous && each.name === context ? { ...each, user: 'shunt-anonymous' } : each,
    ),
    currentContext: context,
  });
  return completed;
}
