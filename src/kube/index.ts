export { type ApiResource, ApiSource, type ApiSourceOptions } from './api-source.js';
export { KubeConfigError, loadKubeConfig } from './kube-config.js';
export { ManifestSource, type ManifestSourceOptions } from './manifest-source.js';
export { defaultTimings, type ReflectorStats, type ReflectorTimings } from './reflector-options.js';
export type { Source, SourceLog, SourceSink } from './source.js';
