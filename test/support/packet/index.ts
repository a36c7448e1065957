export * from './build.js';
export * from './bytes.js';
export * from './checksum.js';
export * from './decode.js';
export * from './explain.js';
export * from './shorthand.js';
export * from './spec.js';
export * from './verify.js';
