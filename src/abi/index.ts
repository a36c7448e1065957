export * from './addr.js';
export type { Codec } from './codec.js';
export { readElf } from './elf.js';
export * from './enums.js';
export * from './generated.js';
export { type Field, fieldOffset, layoutText, type Shape, type StructLayout, shapeText } from './layout.js';
export { type Abi, abiOf, type MapCodec, type MapDefinition, readAbi } from './maps.js';
