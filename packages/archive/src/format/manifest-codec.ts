import { createHash } from 'node:crypto';
import { z } from 'zod';
import { assertVersion, count, damagedObject, hex, objectKey, parseChecked, position, sha256, time } from './checked.ts';
import { compacted } from './condemned.ts';
import type { ImageEntry, Manifest, StretchEntry } from './manifest.ts';
import { manifestKey } from './object-keys.ts';

/** ARCHIVE.md, «Manifest», is normative; this file is its implementation. */
const FORMAT = 'evertree manifest';
const VERSION = 1;

const STRETCH = z.strictObject({
  kind: z.literal('stretch'),
  path: objectKey(),
  bytes: count(),
  sha256: sha256(),
  base: position(),
  last: position(),
  firstTime: time(),
  lastTime: time(),
  commits: count().min(1),
  plainBytes: count(),
  previous: sha256(),
  chain: sha256(),
  digest: hex(16),
  marks: z.array(count()),
  marked: z.exactOptional(z.array(count())),
  archived: z.exactOptional(time()),
}) satisfies z.ZodType<StretchEntry>;

const IMAGE = z.strictObject({
  kind: z.literal('image'),
  position: position(),
  time: time(),
  digest: hex(16),
  chain: sha256(),
  plainBytes: count(),
  parts: z.array(z.strictObject({ path: objectKey(), bytes: count(), sha256: sha256() })).min(1),
  marks: z.array(count()),
  archived: z.exactOptional(time()),
}) satisfies z.ZodType<ImageEntry>;

const LINE = z.strictObject({
  id: hex(16),
  site: hex(16),
  run: hex(16),
  private: z.union([z.string(), z.record(z.string(), z.unknown())]),
  objects: z.array(z.discriminatedUnion('kind', [STRETCH, IMAGE])),
  tails: z.array(z.strictObject({ path: objectKey(), from: count().min(1), base: position(), previous: sha256() })),
  gaps: z.array(
    z.strictObject({ from: position(), to: position(), reason: z.enum(['spool-full', 'history-gone', 'pruned']), time: time() }),
  ),
});

/** The most objects of one range. */
const RANGE_LIMIT = 1_000_000;

const CONDEMNED = z.strictObject({
  path: objectKey(),
  bytes: count(),
  since: time(),
  numbers: z.exactOptional(
    z
      .tuple([count().min(1), count()])
      .refine(([from, to]) => to >= from && to - from < RANGE_LIMIT, 'must be the first and the last number of a range'),
  ),
});

const SCHEMA = z.strictObject({
  format: z.literal(`${FORMAT} ${VERSION}`),
  archive: hex(32),
  stream: hex(32),
  previous: sha256().nullable(),
  time: time(),
  lines: z.array(LINE),
  condemned: z.array(CONDEMNED),
});

/** A manifest as it is stored. */
export interface EncodedManifest {
  readonly bytes: Buffer;
  /** Its name, and what HEAD says of it. */
  readonly sha256: string;
}

export function encodeManifest(manifest: Manifest): EncodedManifest {
  const { archive, stream, previous, time: published, lines, condemned } = manifest;
  const ordered = {
    format: `${FORMAT} ${VERSION}`,
    archive,
    stream,
    previous,
    time: published,
    lines,
    condemned: compacted(condemned),
  };
  const bytes = Buffer.from(JSON.stringify(ordered), 'utf8');
  return { bytes, sha256: hashOf(bytes) };
}

/**
 * @param sha256 its hash, as HEAD or its name says
 * @throws EvertreeError DAMAGED with key and value, FORMAT_UNSUPPORTED
 */
export function parseManifest(bytes: Uint8Array, expected: string): Manifest {
  const name = manifestKey(expected);
  const found = hashOf(bytes);
  if (found !== expected) throw damagedObject(name, `its hash is ${found}`, { expected, found });
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  assertVersion(text, FORMAT, VERSION, name);
  const { format: _, ...manifest } = parseChecked(SCHEMA, text, name);
  return manifest;
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
