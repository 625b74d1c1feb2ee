import { createHash } from 'node:crypto';
import { EvertreeError } from '@evertree/core';
import type { Sealing } from '../encryption/sealing.ts';
import type { ArchiveHead } from '../format/archive-head.ts';
import { hasRecipients } from './initialization.ts';

/** Who wants to write to an archive. */
export interface Usage {
  /** The name of the target, for errors. */
  readonly target: string;
  /** The id of the archive; undefined before HEAD was read. */
  readonly archive: string | undefined;
  readonly stream: string;
  readonly sealing: Sealing;
}

/**
 * Whether a site may write to an archive: it is the archive that it was, of the site's stream, and for the recipients that
 * the site knows.
 * @throws EvertreeError STREAM_MISMATCH, CONFIGURATION_INVALID
 */
export function assertUsable(head: ArchiveHead, { target, archive, stream, sealing }: Usage): void {
  if (archive !== undefined && head.archive !== archive) {
    const message = `${target} has another archive than it had: ${head.archive}, and before ${archive}`;
    throw new EvertreeError('CONFIGURATION_INVALID', message, { expected: archive, found: head.archive });
  }
  if (head.stream !== null && head.stream !== stream) {
    const message = `${target} has the history of the stream ${head.stream}, and this site is of the stream ${stream}: choose another place for its archive`;
    throw new EvertreeError('STREAM_MISMATCH', message, { expected: head.stream, found: stream });
  }
  if (hasRecipients(head, sealing)) return;
  const message = `${target} ${mismatch(head, sealing)}`;
  throw new EvertreeError('CONFIGURATION_INVALID', message, { expected: head.recipients });
}

/** Tells sites apart without their names: ARCHIVE.md, «Manifest». */
export function siteId(archive: string, site: string): string {
  return createHash('sha256').update(`${archive}\n${site}`).digest('hex').slice(0, 16);
}

function mismatch(head: ArchiveHead, sealing: Sealing): string {
  if (sealing === 'plain') return 'is encrypted, and this site has no recipients: name the files of its recipients, nothing was written';
  if (head.recipients.length === 0) return 'is not encrypted, and this site has recipients: make an encrypted archive at another place';
  return 'is encrypted for other recipients than this site names: name exactly those that "evertree backup init" was given';
}
