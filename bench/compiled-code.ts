import { join } from 'node:path';

/** In the workspace, so that it outlives a run. Node replaces what was compiled of a file when the file changes. */
const DIRECTORY = join(import.meta.dirname, '..', 'node_modules', '.cache', 'evertree-bench');

/**
 * The environment of processes that load sources: they keep their compiled code, as the program does. Otherwise each
 * start would parse several hundred TypeScript files, which no user has. A process writes what it compiled with
 * `flushCompileCache`.
 */
export function keepsCompiledCode(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_COMPILE_CACHE: DIRECTORY };
}
