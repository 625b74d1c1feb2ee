import { resolve } from 'node:path';
import { optional } from '../optional.ts';
import type { ArchiveSection } from './archive-section.ts';
import type { ArchiveConfiguration } from './configuration.ts';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import { durationMs } from './fields.ts';
import { type FileFindings, readNamedFile } from './named-file.ts';
import { parseRecipients } from './recipients-file.ts';

// Makes the configuration of a checked section `archive`, as resolution.ts does of the others.

const S3_SCHEME = 's3://';
const KEY_FILE_LIMIT_BYTES = 64 * 1024;
/** The most recipients of one archive: each makes every object longer. */
const RECIPIENTS_LIMIT = 64;

/** Keys that only say how a site writes. */
const WRITING = ['every', 'recipients', 'spool-max-bytes', 'image-every'] as const;
/** Keys that only concern S3. */
const OF_S3 = ['endpoint', 'region', 'profile', 'path-style'] as const;

/** What is found about a section: facts, beside what is wrong and what is dangerous. */
export interface ArchiveFindings extends FileFindings {
  readonly notes: string[];
  /** How the document writes a key: as here in a file, in camel case in code. */
  readonly spell: (key: string) => string;
}

/**
 * Makes the configuration of a checked section, and reads the files that it names.
 * @param value with its keys as in a file, however the document writes them
 */
export function resolveArchive(
  document: ConfigurationDocument,
  value: ArchiveSection | undefined,
  findings: ArchiveFindings,
): ArchiveConfiguration {
  if (value === undefined) return {};
  checkTogether(document, value, findings);
  const { target: name, every, recipients, 'image-every': imageEvery, 'catch-up-from': from, 'identity-file': identity } = value;
  if (name !== undefined && recipients === undefined && !document.has(['archive', 'recipients'])) {
    findings.notes.push('archive.target is not encrypted: whoever can read it reads the data; "recipients" names files with age1… keys');
  }
  return {
    ...optional('target', located(document, name)),
    ...optional('everyMs', every === undefined ? undefined : durationMs(every)),
    ...optional('recipients', recipients === undefined ? undefined : readRecipients(document, recipients, findings)),
    ...optional('spoolMaxBytes', value['spool-max-bytes']),
    ...optional('imageEveryMs', imageEvery === undefined ? undefined : durationMs(imageEvery)),
    ...optional('endpoint', value.endpoint),
    ...optional('region', value.region),
    ...optional('profile', value.profile),
    ...optional('pathStyle', value['path-style']),
    ...optional('catchUpFrom', located(document, from)),
    ...optional('identity', identity === undefined ? undefined : readIdentity(document, identity, findings)),
  };
}

/** A directory is relative to the file that names it. */
function located(document: ConfigurationDocument, name: string | undefined): string | undefined {
  return name === undefined || isBucket(name) ? name : resolve(document.folder, name);
}

function isBucket(name: string): boolean {
  return name.startsWith(S3_SCHEME);
}

/** Keys that have no effect, or another one than is meant, without others. */
function checkTogether(document: ConfigurationDocument, value: ArchiveSection, { problems, warnings, spell }: ArchiveFindings): void {
  const has = (key: string) => document.has(['archive', spell(key)]);
  const told = (key: string, message: string) => problems.push(document.problem(['archive', spell(key)], message));
  const from = spell('catch-up-from');
  if (!has('target')) {
    for (const key of WRITING.filter(has)) told(key, 'says how an archive is written, and "target" is missing, which says where');
    // The schema has reported an archive that is no object.
    if (document.typeAt(['archive']) === 'object' && !has('catch-up-from') && !WRITING.some(has)) {
      problems.push(document.problem(['archive'], `names no archive; write "target": "…" to keep one, or "${from}": "…" to read one`));
    }
  }
  const names = [value.target, value['catch-up-from']].filter(each => each !== undefined);
  // The schema has reported a name that is wrong.
  const isWhole = names.length === ['target', 'catch-up-from'].filter(has).length;
  if (names.length > 0 && isWhole && !names.some(isBucket)) {
    for (const key of OF_S3.filter(has))
      told(key, `concerns s3://bucket/prefix, and ${JSON.stringify(names[0])} is a directory; remove it`);
  }
  if (!has('identity-file')) return;
  if (!has('catch-up-from')) {
    told('identity-file', `opens the archive of "${from}", which is missing; to write an archive, "recipients" are enough: remove it`);
  } else if (has('target')) {
    warnings.push(
      `archive.${spell('identity-file')} is beside archive.target: this machine can open an archive that it writes; keep the identity elsewhere if you can`,
    );
  }
}

/** The recipients of all files, sorted, each once. */
function readRecipients(document: ConfigurationDocument, files: string | readonly string[], findings: FileFindings): readonly string[] {
  const recipients = new Set<string>();
  const list = typeof files === 'string' ? [files] : files;
  list.forEach((file, index) => {
    // The schema has reported an entry that is no name.
    if (typeof file !== 'string') return;
    const place = typeof files === 'string' ? ['archive', 'recipients'] : ['archive', 'recipients', index];
    for (const recipient of recipientsIn(document, place, file, findings)) recipients.add(recipient);
  });
  if (recipients.size > RECIPIENTS_LIMIT) {
    const message = `names ${recipients.size} recipients; an archive has at most ${RECIPIENTS_LIMIT}`;
    findings.problems.push(document.problem(['archive', 'recipients'], message));
  }
  return [...recipients].toSorted();
}

function recipientsIn(document: ConfigurationDocument, place: KeyPath, file: string, findings: FileFindings): readonly string[] {
  const content = readNamedFile(document, place, file, findings, { limitBytes: KEY_FILE_LIMIT_BYTES, isSecret: false });
  if (content === undefined) return [];
  const { recipients, problems } = parseRecipients(content);
  const named = `names ${JSON.stringify(file)}, which`;
  for (const problem of problems) findings.problems.push(document.problem(place, `${named} ${problem}`));
  if (recipients.length === 0 && problems.length === 0) {
    findings.problems.push(document.problem(place, `${named} has no recipient; write one age1… a line, as age-keygen -y prints it`));
  }
  return recipients;
}

/** The text of an identity file, which is a secret. */
function readIdentity(document: ConfigurationDocument, file: string, findings: ArchiveFindings): string | undefined {
  const place = ['archive', findings.spell('identity-file')];
  const content = readNamedFile(document, place, file, findings, { limitBytes: KEY_FILE_LIMIT_BYTES, isSecret: true });
  if (content === undefined || /^AGE-SECRET-KEY-/m.test(content)) return content;
  const message = `names ${JSON.stringify(file)}, which has no identity; it has a line AGE-SECRET-KEY-…, as age-keygen writes it`;
  findings.problems.push(document.problem(place, message));
  return undefined;
}
