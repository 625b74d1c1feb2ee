import { PROTOCOL_VERSIONS } from '@evertree/core';

/** A record on its way to a topic. */
export interface SentRecord {
  readonly key: Buffer;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds since 1970; default: when it is sent. */
  readonly timestamp?: string;
}

/** A record as a topic has it. */
export interface ReceivedRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: { readonly [name: string]: Buffer | string | (Buffer | string)[] | undefined };
  readonly offset: string;
  /** Milliseconds since 1970. */
  readonly timestamp: string;
}

/** The versions of PROTOCOL.md whose frames' records are read: they are the same in all of them. */
const FRAME_VERSIONS: readonly string[] = ['1', '2', '3', '4'];
const VERSION_HEADER = 'evertree';

/** Every record of ours bears it. */
export const PROTOCOL_HEADER = Object.freeze({ [VERSION_HEADER]: String(PROTOCOL_VERSIONS.at(-1)) });

/** The version that a frame's record names, where it is one that is not read here. */
export function unreadableVersion(record: Pick<ReceivedRecord, 'headers'>): string | undefined {
  const version = headerOf(record, VERSION_HEADER);
  return version === undefined || FRAME_VERSIONS.includes(version) ? undefined : version;
}

/** A header's text; of several, the last. */
export function headerOf(record: Pick<ReceivedRecord, 'headers'>, name: string): string | undefined {
  const found = record.headers?.[name];
  const value = Array.isArray(found) ? found.at(-1) : found;
  return value?.toString();
}
