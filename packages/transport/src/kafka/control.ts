import { CLOSE_REASONS, EvertreeError } from '@evertree/core';
import type { Reason } from '@evertree/core';
import { z } from 'zod';
import { roleSchema } from '../wire/role-messages.ts';
import { announcedHeaderSchema, epochNameSchema, helloSchema, hex, parseJson, positionSchema, reasonSchema } from '../wire/schemas.ts';
import { claimFields } from './claims/claim.ts';
import { headerOf, PROTOCOL_HEADER } from './records.ts';
import type { ReceivedRecord, SentRecord } from './records.ts';

/*
 * The records of `<topic>.control`; PROTOCOL.md, «.control». The topic is compacted: only the newest record of each
 * key counts.
 */

const offset = z.string().regex(/^\d{1,19}$/, 'must be an offset');
const count = z.int().min(0);
/** A later version may know other reasons. */
const closing = z.object({ reason: z.enum(CLOSE_REASONS).catch('lost'), explanation: z.string() }).readonly();

/** The reign of the primary, and where the topic has the first record of it that is known. */
const placedReign = z.object({ ...epochNameSchema.unwrap().shape, offset }).readonly();

const primarySchema = z.object({ hello: helloSchema, partition: count, claim: placedReign.exactOptional(), closing: closing.optional() });
const snapshotSchema = z.object({
  id: hex(16),
  header: announcedHeaderSchema,
  begin: offset,
  end: offset,
  chunks: count,
  bytes: count,
  follow: offset,
});
/**
 * Version 1 had a sentence in place of a reason. Its hello has to be read, so that it can be refused by its version.
 */
export const UNKNOWN_REASON: Reason = { code: 'other', text: 'it did not say why' };

const siteSchema = z.object({
  hello: helloSchema,
  state: z.enum(['replicate', 'snapshot']),
  reason: reasonSchema.nullable().catch(null),
  closing: closing.optional(),
});
/** `after`: where the topic ended before the claim was written. `offset`: where it stands there; null: not known to do so. */
const announcedClaimSchema = z.object({ ...claimFields, after: offset, offset: offset.nullable() });
const positionsSchema = z.object({ applied: positionSchema, durable: positionSchema });
/** `tried`: the newest announced snapshot, which the secondary could not use. */
const wantSchema = z.object({ after: positionSchema, reason: reasonSchema.catch(UNKNOWN_REASON), tried: hex(16).nullable().default(null) });

/** Why the writer of the record closed its link. */
export type Closing = z.output<typeof closing>;
export type PlacedReign = z.output<typeof placedReign>;
export type PrimaryRecord = Readonly<z.output<typeof primarySchema>>;
/**
 * The newest whole snapshot: its first and last record in `.snapshot`, and the offset of the first frame to read after
 * it (`follow`).
 */
export type SnapshotRecord = Readonly<z.output<typeof snapshotSchema>>;
export type SiteRecord = Readonly<z.output<typeof siteSchema>>;
/** A claim, before and after it is in the topic. */
export type AnnouncedClaim = Readonly<z.output<typeof announcedClaimSchema>>;
export type PositionRecord = Readonly<z.output<typeof positionsSchema>>;
export type WantRecord = Readonly<z.output<typeof wantSchema>>;
/** What one site says to another about who leads. */
export type RoleRecord = Readonly<z.output<typeof roleSchema>>;

export type Control =
  | { readonly kind: 'primary'; readonly value: PrimaryRecord }
  | { readonly kind: 'snapshot'; readonly value: SnapshotRecord }
  | { readonly kind: 'site'; readonly site: string; readonly value: SiteRecord | null }
  | { readonly kind: 'position'; readonly site: string; readonly value: PositionRecord | null }
  | { readonly kind: 'want'; readonly site: string; readonly value: WantRecord | null }
  | { readonly kind: 'claim'; readonly site: string; readonly value: AnnouncedClaim | null }
  /** `site`: to whom it is said. */
  | { readonly kind: 'role'; readonly site: string; readonly value: RoleRecord | null };

/** A decoded record, and the link that wrote it: `from` is the 16 hex digits that each link draws. */
export interface Received {
  readonly control: Control;
  readonly from: string;
}

const FROM_HEADER = 'from';

export function encodeControl(control: Control, from: string): SentRecord {
  const key = 'site' in control ? `${control.kind}/${control.site}` : control.kind;
  return {
    key: Buffer.from(key),
    value: control.value === null ? null : Buffer.from(JSON.stringify(control.value)),
    headers: { ...PROTOCOL_HEADER, [FROM_HEADER]: from },
  };
}

/** @throws EvertreeError PROTOCOL_VIOLATION for what is no record of this protocol */
export function decodeControl(record: ReceivedRecord): Received {
  const key = record.key?.toString() ?? '';
  const from = headerOf(record, FROM_HEADER) ?? '';
  const slash = key.indexOf('/');
  const kind = slash < 0 ? key : key.slice(0, slash);
  const site = slash < 0 ? '' : key.slice(slash + 1);
  const { value } = record;
  switch (kind) {
    case 'primary':
      return { from, control: { kind, value: parseJson(primarySchema, required(value, kind), kind) } };
    case 'snapshot':
      return { from, control: { kind, value: parseJson(snapshotSchema, required(value, kind), kind) } };
    case 'site':
      return { from, control: { kind, site, value: value && parseJson(siteSchema, value, kind) } };
    case 'position':
      return { from, control: { kind, site, value: value && parseJson(positionsSchema, value, kind) } };
    case 'want':
      return { from, control: { kind, site, value: value && parseJson(wantSchema, value, kind) } };
    case 'claim':
      return { from, control: { kind, site, value: value && parseJson(announcedClaimSchema, value, kind) } };
    case 'role':
      return { from, control: { kind, site, value: value && parseJson(roleSchema, value, kind) } };
    default:
      throw new EvertreeError(
        'PROTOCOL_VIOLATION',
        `a record of the control topic has the unknown key ${JSON.stringify(key.slice(0, 60))}`,
      );
  }
}

function required(value: Buffer | null, kind: string): Buffer {
  if (value === null) throw new EvertreeError('PROTOCOL_VIOLATION', `a record «${kind}» of the control topic has no value`);
  return value;
}
