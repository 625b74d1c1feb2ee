import { createRequire } from 'node:module';
import type * as AgeLibrary from 'age-encryption';

const load = createRequire(import.meta.url);

/**
 * The library for age. It is loaded by the first that needs it: that takes 50 to 100 ms and 13 to 20 MiB in each thread,
 * and whoever restores what is not encrypted does without it.
 */
export function ageLibrary(): typeof AgeLibrary {
  return load('age-encryption') as typeof AgeLibrary;
}
