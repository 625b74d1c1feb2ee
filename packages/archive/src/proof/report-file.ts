import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { assertVersion, damagedObject, parseChecked } from '../format/checked.ts';

/** How a report is stored: JSON with its format first, and a sum of all before it last. */
export function encodeReport(format: string, version: number, report: object): Buffer {
  const ordered = { format: `${format} ${version}`, ...report };
  return Buffer.from(`${JSON.stringify({ ...ordered, sum: sumOf(ordered) })}\n`, 'utf8');
}

/**
 * @param schema with `format` and `sum`, and its keys in the order in which they are written
 * @throws EvertreeError DAMAGED with key and value, FORMAT_UNSUPPORTED
 */
export function parseReport<T extends { readonly format: string; readonly sum: string }>(
  bytes: Uint8Array,
  name: string,
  { format, version, schema }: { readonly format: string; readonly version: number; readonly schema: z.ZodType<T> },
): T {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  assertVersion(text, format, version, name);
  const report = parseChecked(schema, text, name);
  const { sum, ...ordered } = report;
  const found = sumOf(ordered);
  if (found !== sum) throw damagedObject(name, `its sum is ${found}, where it says ${sum}`, { key: 'sum', value: sum });
  return report;
}

/** The id of a report: its time, so that ids sort as times do, and drawn digits. */
export function reportId(time: number, drawn: Uint8Array): string {
  return `${new Date(time).toISOString().replaceAll(/[-:.]/g, '')}-${Buffer.from(drawn).toString('hex')}`;
}

function sumOf(ordered: object): string {
  return createHash('sha256').update(JSON.stringify(ordered)).digest('hex');
}
