import type { Random } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import type { Sealing } from '../encryption/sealing.ts';
import type { ArchiveHead } from '../format/archive-head.ts';
import { encodeHead, parseHead } from '../format/head-codec.ts';
import { HEAD_KEY, MANIFEST_PREFIX } from '../format/object-keys.ts';
import type { Target } from '../targets/target.ts';

export interface InitializationOptions {
  readonly sealing: Sealing;
  /** Whether the target was seen to refuse what its conditions forbid: what `probeTarget` found. */
  readonly conditions: boolean;
  readonly random: Random;
}

/** The archive that is there now. */
export interface InitializedArchive {
  readonly head: ArchiveHead;
  /** False if it was there, as it was asked for and still empty. */
  readonly isNew: boolean;
}

/**
 * Makes an archive: writes its HEAD. It may be tried again: an archive that is still empty and has the same recipients is
 * what was asked for.
 * @throws EvertreeError DIRECTORY_IN_USE if there is another one; DAMAGED if there is one without a HEAD
 */
export async function initArchive(target: Target, options: InitializationOptions): Promise<InitializedArchive> {
  const present = await target.get(HEAD_KEY);
  if (present !== undefined) return { head: sameArchive(target, parseHead(present.bytes), options), isNew: false };
  await assertEmpty(target);
  const head: ArchiveHead = {
    archive: Buffer.from(options.random.bytes(16)).toString('hex'),
    stream: null,
    counter: 1,
    time: await target.now(),
    manifest: null,
    recipients: recipientsOf(options.sealing),
    conditions: options.conditions,
    drilled: null,
    verified: null,
  };
  const written = await target.replace(HEAD_KEY, encodeHead(head), undefined);
  if (written !== 'changed') return { head, isNew: true };
  // Somebody else was first; or the answer to a first attempt was lost.
  const found = await target.get(HEAD_KEY);
  if (found === undefined)
    throw new EvertreeError('STORAGE_FAILED', `${target.name}: HEAD was written and is not there`, { target: target.name });
  const there = parseHead(found.bytes);
  return { head: sameArchive(target, there, options), isNew: there.archive === head.archive };
}

/** What HEAD says of those who may read the archive. */
function recipientsOf(sealing: Sealing): readonly string[] {
  return sealing === 'plain' ? [] : sealing.hashes;
}

export function hasRecipients(head: ArchiveHead, sealing: Sealing): boolean {
  const wanted = recipientsOf(sealing);
  return head.recipients.length === wanted.length && head.recipients.every((hash, index) => hash === wanted[index]);
}

function sameArchive(target: Target, head: ArchiveHead, { sealing }: InitializationOptions): ArchiveHead {
  if (head.manifest === null && head.stream === null && hasRecipients(head, sealing)) return head;
  const content = head.manifest === null ? 'for other recipients' : 'with backups in it';
  const message = `${target.name} has an archive already, ${content}: archive into it as it is, or choose another place`;
  throw new EvertreeError('DIRECTORY_IN_USE', message, { target: target.name, archive: head.archive });
}

/** A new HEAD beside the objects of an archive that lost its own would orphan them. */
async function assertEmpty(target: Target): Promise<void> {
  for await (const { key } of target.list(MANIFEST_PREFIX)) {
    const message = `${target.name} has an archive without a HEAD (${key} is there): restore from it, or choose another place`;
    throw new EvertreeError('DAMAGED', message, { target: target.name, object: HEAD_KEY });
  }
}
