export { Agent, type AgentOptions } from './agent.js';
export {
  type AddressedPlace,
  Box,
  type BoxNode,
  type BoxOutside,
  type BoxPod,
  createBox,
  type Where,
} from './box.js';
export * from './capture.js';
export * from './checksum.js';
export * from './clients.js';
export { forget, remember } from './exit.js';
export type { BoxMode, BoxOptions, BoxPlan, NetfilterPreset, NodePlan, PodPlan, PodSpec } from './options.js';
export { CLUSTER_CIDR4, CLUSTER_CIDR6 } from './options.js';
export { repositoryRoot, type Tool, toolPath } from './paths.js';
export * from './pcap.js';
export {
  BoxCommandError,
  BoxProcess,
  type ExecOptions,
  type ExecResult,
  PATIENCE,
  type Place,
  type SpawnOptions,
} from './process.js';
export type { ServeOptions } from './servers.js';
export { reapStale } from './state.js';
