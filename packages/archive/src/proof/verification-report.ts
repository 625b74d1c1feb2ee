import { z } from 'zod';
import { count, hex, objectKey, position, sha256, time } from '../format/checked.ts';
import { encodeReport, parseReport } from './report-file.ts';

/** ARCHIVE.md, «Reports», is normative; this file is its implementation. */
const FORMAT = 'evertree verification';
const VERSION = 1;

const level = () => z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]);

const SCHEMA = z.strictObject({
  format: z.literal(`${FORMAT} ${VERSION}`),
  archive: hex(32),
  manifest: sha256().nullable(),
  time: time(),
  level: level(),
  finished: z.boolean(),
  passed: z.boolean(),
  findings: z.array(z.strictObject({ level: level(), object: z.string(), line: hex(16).nullable() })),
  lines: z.array(z.strictObject({ line: hex(16), position: position() })),
  tails: z.array(z.strictObject({ path: objectKey(), number: count(), last: position(), chain: sha256(), digest: hex(16), sum: sha256() })),
  objects: z.array(z.tuple([objectKey(), hex(16), level(), time()])),
  sum: sha256(),
});

/** What a verification found, and all that is remembered of what was verified up to then. */
export type VerificationReport = Omit<z.infer<typeof SCHEMA>, 'format' | 'sum'>;

/** The end of that part of a tail which was verified without a hole. */
export type VerifiedTail = VerificationReport['tails'][number];

export function encodeVerification(report: VerificationReport): Buffer {
  const { archive, manifest, time: at, level: highest, finished, passed, findings, lines, tails, objects } = report;
  return encodeReport(FORMAT, VERSION, {
    archive,
    manifest,
    time: at,
    level: highest,
    finished,
    passed,
    findings: findings.map(({ level: its, object, line }) => ({ level: its, object, line })),
    lines: lines.map(({ line, position: end }) => ({ line, position: exact(end) })),
    tails: tails.map(({ path, number, last, chain, digest, sum }) => ({ path, number, last: exact(last), chain, digest, sum })),
    objects,
  });
}

/** @throws EvertreeError DAMAGED with key and value, FORMAT_UNSUPPORTED */
export function parseVerification(bytes: Uint8Array, name: string): VerificationReport {
  return parseReport(bytes, name, { format: FORMAT, version: VERSION, schema: SCHEMA });
}

function exact({ epoch, epochId, revision }: VerifiedTail['last']): VerifiedTail['last'] {
  return { epoch, epochId, revision };
}
