import { z } from 'zod';
import { count, hex, objectKey, position, time } from '../format/checked.ts';
import { encodeReport, parseReport } from './report-file.ts';

/** ARCHIVE.md, «Reports», is normative; this file is its implementation. */
const FORMAT = 'evertree drill';
const VERSION = 1;

const PHASES = ['open', 'restore', 'start', 'check', 'flip'] as const;

/** The phases of a drill, in their order. */
export type DrillPhase = (typeof PHASES)[number];

const milliseconds = () => count().nullable();

const SCHEMA = z.strictObject({
  format: z.literal(`${FORMAT} ${VERSION}`),
  archive: hex(32),
  time: time(),
  passed: z.boolean(),
  failed: z.enum(PHASES).nullable(),
  seed: count().nullable(),
  line: hex(16).nullable(),
  position: position().nullable(),
  stateTime: time().nullable(),
  digest: hex(16).nullable(),
  found: hex(16).nullable(),
  phases: z.strictObject({
    open: milliseconds(),
    restore: milliseconds(),
    start: milliseconds(),
    check: milliseconds(),
    flip: milliseconds(),
  }),
  check: z.strictObject({ status: z.int().nullable() }).nullable(),
  flip: z.strictObject({ object: objectKey(), offset: count(), bit: count().max(7), found: z.boolean() }).nullable(),
  milliseconds: count(),
  sum: z.string(),
});

/** What a drill leaves in the target. */
export type DrillReport = Omit<z.infer<typeof SCHEMA>, 'format' | 'sum'>;

export function encodeDrill(report: DrillReport): Buffer {
  const { archive, time: at, passed, failed, seed, line, position: state, stateTime, digest, found, phases, check, flip } = report;
  const { open, restore, start, check: checked, flip: flipped } = phases;
  return encodeReport(FORMAT, VERSION, {
    archive,
    time: at,
    passed,
    failed,
    seed,
    line,
    position: state && { epoch: state.epoch, epochId: state.epochId, revision: state.revision },
    stateTime,
    digest,
    found,
    phases: { open, restore, start, check: checked, flip: flipped },
    check: check && { status: check.status },
    flip: flip && { object: flip.object, offset: flip.offset, bit: flip.bit, found: flip.found },
    milliseconds: report.milliseconds,
  });
}

/** @throws EvertreeError DAMAGED with key and value, FORMAT_UNSUPPORTED */
export function parseDrill(bytes: Uint8Array, name: string): DrillReport {
  const { format: _, sum: __, ...report } = parseReport(bytes, name, { format: FORMAT, version: VERSION, schema: SCHEMA });
  return report;
}
