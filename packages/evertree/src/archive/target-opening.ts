import { type OpenTargetOptions, openTarget, type Target, type TargetSettings } from '@evertree/archive';
import { nodeRandom, workClock } from '../site/machine.ts';
import { isBucket } from './places.ts';
import { targetSettings } from './thread-options.ts';

/**
 * Opens a target for work that waits for it: the process of a command has nothing else that keeps it alive between two
 * attempts.
 * @param make makes a directory that is missing
 */
export function openPlace(target: string, settings: TargetSettings, more: Pick<OpenTargetOptions, 'make'> = {}): Promise<Target> {
  return openTarget(target, { clock: workClock, random: nodeRandom, ...more, ...(isBucket(target) ? targetSettings(settings) : {}) });
}
