export * from './certificate.js';
export * from './kubeconfig.js';
export * from './objects.js';
export * from './options.js';
export { type KubeObject, resources } from './resources.js';
export { TestApiServer } from './server.js';
