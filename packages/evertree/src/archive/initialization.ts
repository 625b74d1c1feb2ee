import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  Recipients,
  type Sealing,
  type Target,
  type TargetProbe,
  type TargetSettings,
  initArchive as makeArchive,
  probeTarget,
} from '@evertree/archive';
import { EvertreeError } from '@evertree/core';
import { nodeRandom, workClock } from '../site/machine.ts';
import { isBucket } from './places.ts';
import { openPlace } from './target-opening.ts';

const HOST = { clock: workClock, random: nodeRandom };

/** What an archive is made with. */
export interface InitOptions extends TargetSettings {
  /** Texts `age1…`: those whom the archive is encrypted for, for good. Without any it is not encrypted. */
  readonly recipients?: readonly string[];
}

/** The archive that is there now, and what its place was seen to do. */
export interface InitOutcome extends TargetProbe {
  readonly target: string;
  readonly archive: string;
  /** False if it was there, empty and for the same recipients. */
  readonly made: boolean;
  readonly encrypted: boolean;
  readonly recipients: number;
}

/** As in `on-demand.ts`. */
export async function initArchive(target: string, options: InitOptions = {}): Promise<InitOutcome> {
  const sealing = sealingOf(options);
  assertNoSite(target);
  await using place = await openPlace(target, options, { make: true });
  const { probe, head, isNew } = await make(place, sealing);
  const recipients = head.recipients.length;
  return { target: place.name, archive: head.archive, made: isNew, encrypted: recipients > 0, recipients, ...probe };
}

/**
 * Makes an archive where nothing is at all.
 * @returns whether it did
 * @throws EvertreeError NOT_FOUND where something else is
 */
export async function makeIfEmpty(place: Target, sealing: Sealing): Promise<boolean> {
  if ((await place.stat('HEAD')) !== undefined) return false;
  for await (const { key } of place.list('')) {
    const message = `${place.name} has no archive, and is not empty (${key}): name another place, or make an archive there with "evertree backup init ${place.name}"`;
    throw new EvertreeError('NOT_FOUND', message, { target: place.name });
  }
  await make(place, sealing);
  return true;
}

/** @throws EvertreeError DIRECTORY_IN_USE for the directory of a site */
function assertNoSite(target: string): void {
  if (isBucket(target) || !existsSync(join(target, 'site.json'))) return;
  const message = `${target} is the directory of a site, and an archive in it would be lost with it; choose a directory elsewhere, best on another disk`;
  throw new EvertreeError('DIRECTORY_IN_USE', message, { target });
}

/** How whoever writes seals. @throws EvertreeError CONFIGURATION_INVALID */
export function sealingOf({ recipients }: Pick<InitOptions, 'recipients'>): Sealing {
  return recipients === undefined ? 'plain' : Recipients.parse(recipients);
}

async function make(place: Target, sealing: Sealing): Promise<{ readonly probe: TargetProbe } & Awaited<ReturnType<typeof makeArchive>>> {
  const probe = await probeTarget(place, HOST);
  const { create, read, replace } = probe.rights;
  if (!create || !read || !replace) {
    const message = `${place.name} can't be archived into: ${probe.refusals.join('; ')}`;
    throw new EvertreeError('FORBIDDEN', message, { target: place.name, rights: probe.rights });
  }
  return { probe, ...(await makeArchive(place, { sealing, conditions: probe.conditions, random: nodeRandom })) };
}
