// Services, EndpointSlices and Nodes -> what this node should do, and the changes of that. Pure.

export * from './addresses.js';
export * from './desired.js';
export { buildMaglevTable, MAGLEV_TABLE_SIZES, maglevTableSize } from './maglev.js';
export { Model, type ModelOptions, type ModelStats } from './model.js';
export type * from './objects.js';
export { type SelectableEndpoint, type Selection, type SelectionInput, selectEndpoints } from './select.js';
export { hasDataPath, isServed, type ServiceRules } from './services.js';
