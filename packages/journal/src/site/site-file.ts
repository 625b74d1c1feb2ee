import type { Disk, Identity, Random, Role } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { unsupported } from '../groups/failure.ts';
import { SITE_FILE } from './layout.ts';
import { readStateFile, writeStateFile } from './state-file.ts';

/** Version of the directory's layout as a whole; FORMAT.md, «Directory». */
export const DIRECTORY_VERSION = 1;

/** What site.json says. */
export interface SiteRecord extends Identity {
  /** The mark of the directory it was written in: in a copy it names the original. */
  readonly directory: string;
}

/** @returns undefined for a directory that is not a site's yet */
export async function readSite(disk: Disk): Promise<SiteRecord | undefined> {
  const text = await readStateFile(disk, SITE_FILE);
  if (text === undefined) return undefined;
  const value = parse(text);
  if (typeof value['format'] === 'number' && value['format'] !== DIRECTORY_VERSION) {
    throw unsupported(SITE_FILE, value['format'], DIRECTORY_VERSION);
  }
  const { format, site, role, directory } = value;
  if (format !== DIRECTORY_VERSION || typeof site !== 'string' || !isRole(role) || typeof directory !== 'string') {
    throw new EvertreeError('DAMAGED', `${SITE_FILE} does not say which site this is; restore it from a backup`, {
      file: SITE_FILE,
      offset: 0,
    });
  }
  return { site, role, directory };
}

export async function writeSite(disk: Disk, record: SiteRecord): Promise<void> {
  const { site, role, directory } = record;
  await writeStateFile(disk, SITE_FILE, { format: DIRECTORY_VERSION, site, role, directory });
}

/**
 * Who the site is: what the directory says, or what the caller says of a new one.
 * @throws EvertreeError WRONG_ROLE, CONFIGURATION_INVALID when both say something and differ
 */
export function settleIdentity(found: Identity | undefined, wanted: Partial<Identity>, random: Random): Identity {
  if (found === undefined) {
    const site = wanted.site ?? `site-${Buffer.from(random.bytes(4)).toString('hex')}`;
    return { site, role: wanted.role ?? 'primary' };
  }
  if (wanted.role !== undefined && wanted.role !== found.role) {
    throw new EvertreeError('WRONG_ROLE', `this directory belongs to a ${found.role}; it can't be started as a ${wanted.role}`, {
      expected: found.role,
      found: wanted.role,
    });
  }
  if (wanted.site !== undefined && wanted.site !== found.site) {
    const names = `${JSON.stringify(found.site)}, not ${JSON.stringify(wanted.site)}`;
    throw new EvertreeError(
      'CONFIGURATION_INVALID',
      `this directory belongs to the site ${names}; leave the name out, or use another directory`,
      {
        expected: found.site,
        found: wanted.site,
      },
    );
  }
  return { site: found.site, role: found.role };
}

function isRole(value: unknown): value is Role {
  return value === 'primary' || value === 'secondary';
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    throw new EvertreeError('DAMAGED', `${SITE_FILE} is not JSON; restore it from a backup`, { file: SITE_FILE, offset: 0 }, error);
  }
}
