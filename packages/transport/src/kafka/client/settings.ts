import type { ConnectionOptions } from 'node:tls';
import type { KafkaConnection } from '../options.ts';
import type { Pauses } from './retrying.ts';

// What every client is told in the same way.

export const DEFAULT_CLIENT_ID = 'evertree';
/** Until a broker's socket is there, TLS included. */
export const CONNECT_LIMIT_MS = 3_000;
/** Until a broker has accepted the credentials; a token may have to be asked for. */
export const AUTHENTICATE_LIMIT_MS = 5_000;
export const KEEP_ALIVE_MS = 30_000;
export const ABANDONED = 'the client was given up';
/**
 * The largest batch after decompression; ours have a hundredth of it. Without a bound a few kilobytes could fill the
 * memory.
 */
export const UNFOLDED_LIMIT_BYTES = 64 * 1024 * 1024;

/** A client's own attempts at one request take a second at most. The loops above go on. */
export const RETRY: Pauses = Object.freeze({ retries: 4, firstPauseMs: 50, mostPauseMs: 250 });
/** Between a writer's attempts at one batch. */
export const WRITE_RETRY: Pauses = Object.freeze({ retries: 4, firstPauseMs: 100, mostPauseMs: 500 });

/** A client's own bound for answers to an admin. Silence is found earlier. */
export const ADMIN_ANSWER_MS = 60_000;

export const READ_UNCOMMITTED = 0;
export const READ_COMMITTED = 1;
/** Kafka's numbers: every replica in sync has it, or its leader. */
export const ACKS = { all: -1, leader: 1 } as const;

/** The most bytes and milliseconds of a fetch, unless the reader is told others. */
export const FETCH_BYTES = 8 * 1024 * 1024;
export const FETCH_WAIT_MS = 500;

/** No topic has these: a broker looks at the rights first, and then has nothing to do. */
export const NO_PARTITION = 2_147_483_647;
export const NO_OFFSET = 9_223_372_036_854_775_806n;
/**
 * Kafka's generation id for a commit by a client that is no member: the broker takes it while the group has no members.
 */
export const NO_GENERATION = -1;
export const NO_MEMBER = '';

/** What Node's TLS is told. */
export function tlsOptions(tls: NonNullable<KafkaConnection['tls']>): ConnectionOptions {
  return {
    rejectUnauthorized: true,
    ...(tls.authority === undefined ? {} : { ca: tls.authority }),
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    ...(tls.passphrase === undefined ? {} : { passphrase: tls.passphrase }),
    ...(tls.checkName ? {} : { checkServerIdentity: () => undefined }),
  };
}
