export type { NodeAddress } from './addressBook.js';
export { type NodeRanges, RANGE_SET_CLUSTER, RANGE_SET_SERVICE } from './nodeRanges.js';
export * from './ops.js';
export { Plan } from './plan.js';
export { Planner } from './planner.js';
export { IPPROTO } from './render.js';
export type { MapDump } from './restore.js';
export { type PlanSizes, SIZE_FLAGS } from './state.js';
export { backendStateText, frontendKeyLabel, hostPort, opText, protocolName } from './text.js';
