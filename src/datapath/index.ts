export { ApplyError, applyOps, Updater } from './apply.js';
export { ConfigWords } from './config.js';
export { DatapathError, type MapByName, type MapHandle } from './handles.js';
export { KernelMapStore } from './kernelStore.js';
export {
  Datapath,
  type DatapathOptions,
  openDatapath,
  openReadOnly,
  ReadOnlyDatapath,
  type TableSizes,
} from './open.js';
export { DEFAULT_PIN_PATH, layoutDirectory, linksDirectory } from './pins.js';
export { MapReader } from './read.js';
export type { MapEntry, MapStore } from './store.js';
export { DEFAULT_TIMEOUTS, FlowSweeper, type FlowTimeouts, type SweepResult } from './sweep.js';
export * from './views.js';
