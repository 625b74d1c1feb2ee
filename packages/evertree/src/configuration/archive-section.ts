import { z } from 'zod';
import { bytes, duration, section, serviceAddress, text, yesOrNo } from './fields.ts';

// The section `archive`: where a site keeps its history elsewhere, and where it takes from what it lacks.

const MEBIBYTE = 1024 * 1024;
const TEBIBYTE = MEBIBYTE * MEBIBYTE;

const target = (what: string) =>
  text(
    `${what}: a directory, relative to this file, or s3://bucket/prefix`,
    /^(?![A-Za-z][A-Za-z0-9+.-]*:\/\/)\P{Cc}*\S\P{Cc}*$|^s3:\/\//u,
  ).regex(
    /^(?!s3:\/\/)|^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:\/\P{Cc}*)?$/u,
    `${what}: s3://bucket/prefix, where the bucket has 3 to 63 lower-case letters, digits, "." and "-"`,
  );
const keyFile = (what: string) => text(`${what}: a file's name, relative to this file`);

const RECIPIENTS_EXPECTED =
  'whom the archive is encrypted for: the name of a file with one age1… a line, relative to this file, or an array of such names';

/** The keys of `archive`; the library's `openStore` takes them as well. */
export const archiveFields = {
  target: target('where the history is kept').optional(),
  every: duration('50ms', '1h', 'how often what is new goes into the archive').optional(),
  recipients: z
    .union([text(RECIPIENTS_EXPECTED), z.array(text(RECIPIENTS_EXPECTED)).min(1, RECIPIENTS_EXPECTED)], RECIPIENTS_EXPECTED)
    .optional(),
  'spool-max-bytes': bytes(MEBIBYTE, 8 * TEBIBYTE, 'the history that is kept here while the target is away').optional(),
  'image-every': duration('1m', '365d', 'the age at which the newest image in the archive is followed by another').optional(),
  endpoint: serviceAddress("where the S3 service is, if it is not Amazon's").optional(),
  region: text("the bucket's region: letters, digits and -", /^[A-Za-z0-9-]{1,64}$/).optional(),
  profile: text('the profile in ~/.aws/config and ~/.aws/credentials', /^[^\p{Cc}[\]]{1,128}$/u).optional(),
  'path-style': yesOrNo().optional(),
  'catch-up-from': target('where a secondary takes the history from that its primary no longer has').optional(),
  'identity-file': keyFile('the age identity that opens the archive of "catch-up-from"').optional(),
};

export const archiveSection = section(archiveFields, 'an object with "target" or "catch-up-from"');
export type ArchiveSection = z.infer<typeof archiveSection>;
