import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ArchiveHead } from './archive-head.ts';
import { assertVersion, count, damagedObject, hex, objectKey, parseChecked, sha256, time } from './checked.ts';
import { HEAD_KEY } from './object-keys.ts';

/** ARCHIVE.md, «HEAD», is normative; this file is its implementation. */
const FORMAT = 'evertree archive';
const VERSION = 1;

const SCHEMA = z.strictObject({
  format: z.literal(`${FORMAT} ${VERSION}`),
  archive: hex(32),
  stream: hex(32).nullable(),
  counter: count(),
  time: time(),
  manifest: sha256().nullable(),
  recipients: z.array(sha256()),
  conditions: z.boolean(),
  drilled: z
    .strictObject({
      time: time(),
      passed: z.boolean(),
      position: z.strictObject({ epoch: count(), revision: count() }),
      milliseconds: count(),
      report: objectKey(),
    })
    .nullable(),
  verified: z.strictObject({ time: time(), level: count().max(3), passed: z.boolean(), report: objectKey() }).nullable(),
  sum: sha256(),
});

export function encodeHead(head: ArchiveHead): Buffer {
  const ordered = orderedHead(head);
  return Buffer.from(`${JSON.stringify({ ...ordered, sum: sumOf(ordered) })}\n`, 'utf8');
}

/** @throws EvertreeError DAMAGED with key and value, FORMAT_UNSUPPORTED */
export function parseHead(bytes: Uint8Array): ArchiveHead {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  assertVersion(text, FORMAT, VERSION, HEAD_KEY);
  const { format: _, sum, ...head } = parseChecked(SCHEMA, text, HEAD_KEY);
  const found = sumOf(orderedHead(head));
  if (found === sum) return head;
  throw damagedObject(HEAD_KEY, `its sum is ${found}, where it says ${sum}`, { key: 'sum', value: sum });
}

/** With the keys in the order of ARCHIVE.md: the sum goes over the text. */
function orderedHead(head: ArchiveHead): object {
  const { archive, stream, counter, time: moved, manifest, recipients, conditions, drilled, verified } = head;
  return {
    format: `${FORMAT} ${VERSION}`,
    archive,
    stream,
    counter,
    time: moved,
    manifest,
    recipients,
    conditions,
    drilled: drilled && orderedDrill(drilled),
    verified: verified && orderedVerification(verified),
  };
}

function orderedDrill({ time: at, passed, position, milliseconds, report }: NonNullable<ArchiveHead['drilled']>): object {
  return { time: at, passed, position: { epoch: position.epoch, revision: position.revision }, milliseconds, report };
}

function orderedVerification({ time: at, level, passed, report }: NonNullable<ArchiveHead['verified']>): object {
  return { time: at, level, passed, report };
}

function sumOf(ordered: object): string {
  return createHash('sha256').update(JSON.stringify(ordered)).digest('hex');
}
