import { parseScript } from './script.ts';
import type { Script } from './script.ts';

/** Moments that a fault has to hit within a millisecond or two: each is tried at many. */
export const SCENARIOS: readonly Script[] = [
  // The old primary goes back to the fork, and its process ends.
  ...atMany(60, ms => [
    'write a 2 1',
    'pass 20',
    'isolate b',
    'pass 100',
    'write a 3 0',
    'pass 10',
    'promote b',
    'pass 260',
    'disk a 1 3',
    'heal',
    `pass ${20 + ms}`,
    'power-loss a',
    'start a',
  ]),
  // The power fails while commits, or the first frame of an epoch, wait for the disk.
  ...atMany(20, ms => [
    'write a 2 1',
    'pass 20',
    'disk a 2 3',
    'disk b 3 6',
    'write a 3 0',
    `pass ${ms / 5}`,
    'power-loss a',
    'promote b',
    `pass ${200 + ms}`,
    'power-loss b',
    'start b',
  ]),
];

function atMany(moments: number, lines: (ms: number) => readonly string[]): Script[] {
  return Array.from({ length: moments }, (_, ms) => ({ ...parseScript('sites direct direct'), seed: ms + 1, lines: lines(ms) }));
}
