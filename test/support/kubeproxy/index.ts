export { foreignRules, installForeignRules } from './foreign.js';
export { installKubeProxy, netfilterText, type ProxyMode } from './install.js';
export { iptablesRules } from './iptables.js';
export { nftablesRules } from './nftables.js';
export { fillerServices, type ProxiedPort, type ProxyConfig } from './services.js';
