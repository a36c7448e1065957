/** Loads every program of the built object and prints how much the verifier did for each, or its last words. */
import { join } from 'node:path';
import { repositoryRoot } from '../../box/paths.js';
import { BpfError, BpfObject } from '../../src/native/index.js';

try {
  const began = performance.now();
  const object = await BpfObject.load({ path: join(repositoryRoot(), 'build/bpf/shunt.bpf.o') });
  const took = Math.round(performance.now() - began);
  for (const name of object.programNames)
    console.log(`${name} ${object.program(name).info.verifiedInstructions}`);
  console.log(`${object.programNames.length} programs loaded in ${took} ms`);
  object.close();
} catch (error) {
  console.log(error instanceof BpfError ? `${error.message}\n${error.log?.slice(-6000) ?? ''}` : error);
  process.exitCode = 1;
}
