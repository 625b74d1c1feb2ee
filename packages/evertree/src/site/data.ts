import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, EvertreeError, type Journal, type Random, isEvertreeError } from '@evertree/core';
import { MemoryJournal, nodeDisk, openJournal } from '@evertree/journal';
import { optional } from '../optional.ts';
import type { ResolvedOptions } from './options.ts';

// What a store needs of the machine: its clock, its random numbers, and its history on the disk or in memory.

/** The machine's clock. Its timers never keep the process alive. */
export const nodeClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  soon(task) {
    setImmediate(task);
  },
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs).unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

export const nodeRandom: Random = {
  bytes: length => randomBytes(length),
  fraction: () => Math.random(),
};

/** Where a directory names its site; FORMAT.md, «Directory». */
const SITE_FILE = 'site.json';

/**
 * Opens a site's history.
 * @throws EvertreeError as openJournal; WRONG_ROLE says which directory it was, and what can be done about it
 */
export async function openData({ directory, site, defaultSite, role, journal, report }: ResolvedOptions): Promise<Journal> {
  const machine = { clock: nodeClock, random: nodeRandom, report };
  const isNew = directory === undefined || !existsSync(join(directory, SITE_FILE));
  const identity = { ...optional('site', site ?? (isNew ? defaultSite : undefined)), ...optional('role', role) };
  if (directory === undefined) return new MemoryJournal({ ...machine, identity });
  const { encoding: _encoding, snapshotBytes: _snapshotBytes, ...options } = journal;
  try {
    return await openJournal({ ...machine, disk: nodeDisk(directory), identity, options });
  } catch (error) {
    if (!isEvertreeError(error, 'WRONG_ROLE')) throw error;
    const { expected, found } = error.details;
    const copies = found === 'secondary' ? ', into which it copies its primary' : '';
    const message =
      `the directory ${directory} belongs to a ${String(expected)}, and was to be started as a ${String(found)}: two sites would then write one history. ` +
      `Start it with "evertree ${String(expected)} --data ${directory}", or the ${String(found)} with an empty directory${copies} (--data DIR)`;
    throw new EvertreeError('WRONG_ROLE', message, error.details, error);
  }
}
