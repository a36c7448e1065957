export * from './generate.js';
export * from './kernel.js';
export * from './play.js';
export * from './report.js';
export * from './types.js';
