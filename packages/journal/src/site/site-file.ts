import type { Disk, EpochName, ExactPosition, Fencing, Identity, Random, Role } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { unsupported } from '../groups/failure.ts';
import { SITE_FILE } from './layout.ts';
import { readStateFile, writeStateFile } from './state-file.ts';

/** Version of the directory; FORMAT.md, «Directory». */
export const DIRECTORY_VERSION = 3;
/** Earlier versions that opening upgrades; FORMAT.md, «Versions». */
const FORMER_VERSIONS: readonly unknown[] = [1, 2];

/** Whether a file of the directory can be read: in all of these versions it says the same things the same way. */
export function isKnownVersion(format: number): boolean {
  return format === DIRECTORY_VERSION || FORMER_VERSIONS.includes(format);
}

/** The content of site.json. */
export interface SiteFile extends Identity {
  /** The mark of the directory in which it was written. In a copy it is that of the original. */
  readonly directory: string;
  /** The highest epoch that the site heard of. */
  readonly fencedBy: Fencing | undefined;
  /** The highest number of an epoch that hellos told of; undefined in files of programs before 0.5. */
  readonly heard: EpochName | undefined;
  /** The commands that the site declined, the oldest first. */
  readonly declined: readonly string[];
  /** Where the history ended when the site was closed; undefined while it is open, and after a crash. */
  readonly closedAt: ExactPosition | undefined;
}

/** A site.json that was read. */
export interface FoundSite {
  readonly record: SiteFile;
  /** The file is of a former version. */
  readonly isFormer: boolean;
}

/** @returns undefined for a directory without one: it belongs to no site yet */
export async function readSite(disk: Disk): Promise<FoundSite | undefined> {
  const text = await readStateFile(disk, SITE_FILE);
  if (text === undefined) return undefined;
  const value = parse(text);
  const isFormer = FORMER_VERSIONS.includes(value['format']);
  if (typeof value['format'] === 'number' && !isKnownVersion(value['format'])) {
    throw unsupported(SITE_FILE, value['format'], DIRECTORY_VERSION);
  }
  const { format, site, role, directory, fencedBy, heard, declined = [], closedAt } = value;
  if (typeof format !== 'number' || typeof site !== 'string' || !isRole(role) || typeof directory !== 'string') {
    throw damagedSite('does not say which site this is');
  }
  if (!isOptional(fencedBy, isEpochName)) throw damagedSite('has a fence that is no epoch');
  if (!isOptional(heard, isEpochName)) throw damagedSite('has heard of an epoch that is none');
  if (!isTexts(declined)) throw damagedSite('has declined commands that are no texts');
  if (!isOptional(closedAt, isPosition)) throw damagedSite('has an end of the history that is no position');
  const record = { site, role, directory, fencedBy: fencedBy && fencingOf(fencedBy), heard: heard && nameOf(heard), declined, closedAt };
  return { record, isFormer };
}

export async function writeSite(disk: Disk, record: SiteFile): Promise<void> {
  const { site, role, directory, fencedBy, heard, declined, closedAt } = record;
  await writeStateFile(disk, SITE_FILE, { format: DIRECTORY_VERSION, site, role, directory, fencedBy, heard, declined, closedAt });
}

/** A name for a copy of a secondary's directory: that of the original, with a random suffix. */
function nameOfCopy(site: string, random: Random): string {
  return `${site.replace(/-copy-[0-9a-f]{8}$/, '')}-copy-${drawn(random)}`;
}

/**
 * The identity of the site: that of the directory; for a new directory that of the caller. A copy may be given another
 * name. A copy of a secondary's directory always gets one if none is given: at their primary, two secondaries of one
 * name would take each other's link.
 * @throws EvertreeError WRONG_ROLE, CONFIGURATION_INVALID if the caller's role or name is not that of the directory
 */
export function settleIdentity(found: Identity | undefined, wanted: Partial<Identity>, random: Random, isCopy = false): Identity {
  if (found === undefined) return { site: wanted.site ?? `site-${drawn(random)}`, role: wanted.role ?? 'primary' };
  const { site, role } = found;
  if (wanted.role !== undefined && wanted.role !== role) {
    throw new EvertreeError('WRONG_ROLE', `this directory belongs to a ${role}; it can't be started as a ${wanted.role}`, {
      expected: role,
      found: wanted.role,
    });
  }
  if (isCopy) return { site: wanted.site ?? (role === 'secondary' ? nameOfCopy(site, random) : site), role };
  if (wanted.site !== undefined && wanted.site !== site) {
    const names = `${JSON.stringify(site)}, not ${JSON.stringify(wanted.site)}`;
    throw new EvertreeError(
      'CONFIGURATION_INVALID',
      `this directory belongs to the site ${names}; leave the name out, or use another directory`,
      { expected: site, found: wanted.site },
    );
  }
  return { site, role };
}

function drawn(random: Random): string {
  return Buffer.from(random.bytes(4)).toString('hex');
}

function isOptional<T>(value: unknown, is: (value: unknown) => value is T): value is T | undefined {
  return value === undefined || is(value);
}

function isRole(value: unknown): value is Role {
  return value === 'primary' || value === 'secondary';
}

function isEpochName(value: unknown): value is EpochName & { readonly begun?: unknown } {
  return isRecord(value) && typeof value['number'] === 'number' && typeof value['id'] === 'string';
}

/** Directory version 2 has no promises: there an epoch without `begun` is one that has begun. */
function fencingOf({ number, id, begun }: EpochName & { readonly begun?: unknown }): Fencing {
  return { number, id, begun: begun !== false };
}

function nameOf({ number, id }: EpochName): EpochName {
  return { number, id };
}

export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(each => typeof each === 'string');
}

export function isPosition(value: unknown): value is ExactPosition {
  if (!isRecord(value)) return false;
  return typeof value['epoch'] === 'number' && typeof value['epochId'] === 'string' && typeof value['revision'] === 'number';
}

/** The object that a JSON text is; an empty one for any other text, which then lacks what the caller looks for. */
export function parseRecord(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    // The caller reports it, as any other content that does not fit.
    return {};
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function damagedSite(problem: string): EvertreeError {
  return new EvertreeError('DAMAGED', `${SITE_FILE} ${problem}; restore it from a backup`, { file: SITE_FILE, offset: 0 });
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch (error) {
    throw new EvertreeError('DAMAGED', `${SITE_FILE} is not JSON; restore it from a backup`, { file: SITE_FILE, offset: 0 }, error);
  }
}
