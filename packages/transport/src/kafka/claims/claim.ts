import type { EpochName } from '@evertree/core';
import { z } from 'zod';
import { epochNameSchema, hex, parseJson, siteNameSchema } from '../../wire/schemas.ts';
import { PROTOCOL_HEADER, headerOf } from '../records.ts';
import type { ReceivedRecord, SentRecord } from '../records.ts';

/** The fields of a claim, in a topic and in `.control`. */
export const claimFields = {
  epoch: epochNameSchema,
  site: siteNameSchema,
  stream: hex(32),
  /** Milliseconds since 1970, by the clock of the site that claims. */
  time: z.int().min(0),
};
const claimSchema = z.object(claimFields).readonly();

/** With it a site that is being promoted ends the reign before in a topic: PROTOCOL.md, «Claims». */
export type Claim = z.output<typeof claimSchema>;

const TYPE_HEADER = 'type';
const CLAIM_TYPE = 'claim';
/** Of a frame's record, and of a claim's: the reign under which it was written. */
const REIGN_HEADER = 'claim';
const REIGN = /^(\d{1,10}) ([0-9a-f]{16})$/;

/** A claim's record. @param key the topic's configured one */
export function encodeClaim(claim: Claim, key: Buffer): SentRecord {
  const headers = { ...PROTOCOL_HEADER, [TYPE_HEADER]: CLAIM_TYPE, ...reignHeader(claim.epoch) };
  return { key, value: Buffer.from(JSON.stringify(claim)), headers, timestamp: String(claim.time) };
}

/** Whether a record of the topic says that it is a claim. */
export function isClaim(record: Pick<ReceivedRecord, 'headers'>): boolean {
  return headerOf(record, TYPE_HEADER) === CLAIM_TYPE;
}

/** @throws EvertreeError PROTOCOL_VIOLATION for what is none */
export function decodeClaim({ value }: Pick<ReceivedRecord, 'value'>): Claim {
  return parseJson(claimSchema, value ?? new Uint8Array(), 'claim');
}

/** The header that names the reign under which a record is written. */
export function reignHeader({ number, id }: EpochName): Readonly<Record<string, string>> {
  return { [REIGN_HEADER]: `${number} ${id}` };
}

/** The reign under which a record was written; undefined where it does not say so. */
export function reignOf(record: Pick<ReceivedRecord, 'headers'>): EpochName | undefined {
  const [, number, id] = REIGN.exec(headerOf(record, REIGN_HEADER) ?? '') ?? [];
  return id === undefined ? undefined : { number: Number(number), id };
}
