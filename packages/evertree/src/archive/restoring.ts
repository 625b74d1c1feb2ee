import { existsSync, statSync } from 'node:fs';
import { rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  Identities,
  type Opening,
  type Restored,
  type RestoreForecast,
  type RestoreOptions,
  restoreSite,
  type Target,
  type TargetSettings,
} from '@evertree/archive';
import { type Clock, EvertreeError, type Reporter } from '@evertree/core';
import { nodeDisk } from '@evertree/journal';
import { optional } from '../optional.ts';
import { assertOutside } from './places.ts';
import { openPlace } from './target-opening.ts';
import { nodeClock, nodeRandom } from '../site/machine.ts';
import { findForeign, isUnfinished } from '../site/unfinished-directory.ts';
import { keepHeapSmall } from './small-heap.ts';

/** How a site is restored: what, into which directory, and as which site. */
export interface RestoreSiteOptions
  extends
    TargetSettings,
    Pick<RestoreOptions, 'to' | 'line' | 'without' | 'role' | 'site' | 'asNewStream' | 'dryRun' | 'planned' | 'progress'> {
  /** The directory: empty or absent, or one in which the same restore did not end. */
  readonly data: string;
  /** What files of age identities hold, for an archive that is encrypted. */
  readonly identities?: readonly string[];
  readonly log?: Reporter;
}

/** The same, from a target that is open. */
export interface OpenRestoreOptions extends Omit<RestoreOptions, 'target' | 'disk' | 'random' | 'report' | 'clock'> {
  readonly data: string;
  readonly identities?: Opening;
  readonly clock?: Clock;
  readonly log?: Reporter;
}

/** As in `on-demand.ts`. */
export async function restore(target: string, options: RestoreSiteOptions): Promise<RestoreForecast | Restored> {
  const { identities, ...rest } = options;
  assertFree(options.data, target);
  await using opened = await openPlace(target, options);
  return await restoreFrom(opened, { ...rest, identities: identities === undefined ? undefined : Identities.parse(identities) });
}

/** As `restore`. */
export async function restoreFrom(target: Target, options: OpenRestoreOptions): Promise<RestoreForecast | Restored> {
  const { data, log, dryRun, clock = nodeClock, ...rest } = options;
  assertFree(data, target.name);
  const isNew = !existsSync(data);
  using _ = keepHeapSmall();
  const given = { ...rest, ...optional('report', log), target, disk: nodeDisk(data), clock, random: nodeRandom };
  try {
    return dryRun === true ? await restoreSite({ ...given, dryRun }) : await restoreSite({ ...given, dryRun: false });
  } catch (error) {
    if (isNew) await removeMade(data);
    throw error;
  }
}

/** @throws EvertreeError WRONG_ROLE, CONFIGURATION_INVALID */
function assertFree(data: string, target: string): void {
  assertOutside(`the directory to restore into, ${data},`, data, target);
  const isThere = existsSync(data);
  if (isThere && !statSync(data).isDirectory()) {
    const message = `the directory to restore into, ${data}, is none; name one that is empty or absent`;
    throw new EvertreeError('CONFIGURATION_INVALID', message, { directory: data });
  }
  const found = isThere ? findForeign(data) : undefined;
  if (found === undefined) return;
  throw new EvertreeError('WRONG_ROLE', `the directory to restore into, ${data}, holds ${found}; name one that is empty or absent`, {
    file: found,
  });
}

/** Removes a directory that was made for a restore which was refused; not one in which something is to be gone on with. */
async function removeMade(data: string): Promise<void> {
  if (existsSync(data) && isUnfinished(data)) return;
  const steps = [() => unlink(join(data, 'lock')), ...['journal', 'snapshots', ''].map(name => () => rmdir(join(data, name)))];
  for (const step of steps) {
    try {
      await step();
    } catch {
      // It was not made, or it is not empty.
    }
  }
}
