import { PROTOCOL_VERSIONS } from '@evertree/core';
import type { IHeaders, KafkaMessage, Message } from 'kafkajs';

/** A record on its way to a topic. */
export type SentRecord = Message & { readonly value: Buffer | null };
/** A record as a topic has it. */
export type ReceivedRecord = Pick<KafkaMessage, 'key' | 'value' | 'headers' | 'offset' | 'timestamp'>;

/** Every record of ours bears it. */
export const PROTOCOL_HEADER: Readonly<IHeaders> = Object.freeze({ evertree: String(PROTOCOL_VERSIONS.at(-1)) });

/** A header's text; of several, the last. */
export function headerOf(record: ReceivedRecord, name: string): string | undefined {
  const found = record.headers?.[name];
  const value = Array.isArray(found) ? found.at(-1) : found;
  return value === undefined ? undefined : value.toString();
}
