import { type ArchiveHead, HEAD_KEY, Identities, Recipients, parseHead } from '@evertree/archive';
import { type EvertreeError, isEvertreeError } from '@evertree/core';
import type { ArchiveConfiguration } from '../configuration/configuration.ts';
import { openPlace } from '../archive/target-opening.ts';
import { type Finding, failed, note, refused, warning } from './finding.ts';

/** Requests that differ more from the service's time are refused by S3. */
const SKEW_LIMIT_MS = 5 * 60_000;

/** Reads HEAD of the archives that a file names, as a site would, and changes nothing there. */
export async function checkArchives(configuration: ArchiveConfiguration): Promise<Finding[]> {
  const { target, catchUpFrom } = configuration;
  return [
    ...(target === undefined ? [] : await checkArchive(target, configuration, head => checkWriting(target, head, configuration))),
    ...(catchUpFrom === undefined
      ? []
      : await checkArchive(catchUpFrom, configuration, head => checkReading(catchUpFrom, head, configuration))),
  ];
}

async function checkArchive(
  name: string,
  configuration: ArchiveConfiguration,
  judge: (head: ArchiveHead) => Finding | Promise<Finding>,
): Promise<Finding[]> {
  const subject = `archive ${name}`;
  try {
    await using place = await openPlace(name, configuration);
    const found = await place.get(HEAD_KEY);
    if (found === undefined) return [refused(subject, 'has no archive yet; make it with', initCommand(name, configuration))];
    const head = parseHead(found.bytes);
    const skewMs = Math.abs((await place.now()) - Date.now());
    return [
      await judge(head),
      ...(head.conditions ? [] : [warning(subject, 'does not refuse what it must refuse: let only one site write to it')]),
      ...(skewMs < SKEW_LIMIT_MS ? [] : [warning(subject, `has a clock that differs by ${Math.round(skewMs / 60_000)} min from this one`)]),
    ];
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    return [findingOf(subject, error, initCommand(name, configuration))];
  }
}

function findingOf(subject: string, error: EvertreeError, remedy: string): Finding {
  const { code, message } = error;
  if (code === 'UNREACHABLE' || code === 'STORAGE_FAILED') return failed(subject, `is not reached: ${message}`);
  return refused(subject, `can't be used: ${message}`, code === 'NOT_FOUND' ? remedy : null);
}

function checkWriting(name: string, head: ArchiveHead, { recipients }: ArchiveConfiguration): Finding {
  const subject = `archive ${name}`;
  const wanted = recipients === undefined ? [] : Recipients.parse(recipients).hashes;
  const isSame = wanted.length === head.recipients.length && wanted.every((hash, index) => hash === head.recipients[index]);
  if (isSame) return note(subject, `is there, ${head.recipients.length === 0 ? 'not encrypted' : 'encrypted for these recipients'}`);
  if (head.recipients.length === 0)
    return refused(subject, 'is not encrypted, and the file names recipients: make another archive for them');
  if (wanted.length === 0) return refused(subject, 'is encrypted, and the file names no recipients');
  return refused(subject, 'is encrypted for other recipients than the file names');
}

async function checkReading(name: string, head: ArchiveHead, { identity }: ArchiveConfiguration): Promise<Finding> {
  const subject = `archive ${name}`;
  if (head.recipients.length === 0) return note(subject, 'can be read');
  if (identity === undefined) return refused(subject, 'is encrypted, and the file names no "identity-file"');
  const own = await Identities.parse([identity]).hashes();
  if (own.some(hash => head.recipients.includes(hash))) return note(subject, 'can be read with the identity');
  return refused(subject, 'is encrypted for others than the identity of the file');
}

function initCommand(name: string, { recipients, endpoint }: ArchiveConfiguration): string {
  const address = endpoint === undefined ? '' : ` --endpoint ${endpoint}`;
  return `evertree backup init ${name}${address}${recipients === undefined ? '' : ' --recipients FILE'}`;
}
