import { EvertreeError } from '@evertree/core';
import type { AccessToken, Clock, Random, Reporter } from '@evertree/core';
import { z } from 'zod';
import { PAYLOAD_LIMIT_BYTES } from './parts.ts';
import { HEARTBEAT_LEAST_MS, HEARTBEAT_MOST_MS } from '../wire/schemas.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const milliseconds = (defaultMs: number) => z.int().min(1).max(HEARTBEAT_MOST_MS).default(defaultMs);

const limitsSchema = z
  .strictObject({
    /** How often the far end has to be heard. After three of these without a byte it counts as gone. */
    heartbeatMs: z.int().min(HEARTBEAT_LEAST_MS).max(HEARTBEAT_MOST_MS).default(2_000),
    /** From the first byte of TCP to the upgrade, TLS included. */
    handshakeTimeoutMs: milliseconds(10_000),
    /** From `attach` to the far end's hello. */
    helloTimeoutMs: milliseconds(10_000),
    /** How long a far end may take to answer a close frame. */
    closeTimeoutMs: milliseconds(1_000),
    /** Bytes waiting to be written at which `writable` turns false; it turns true again at half of it. */
    writableBytes: z
      .int()
      .min(KIBIBYTE)
      .default(4 * MEBIBYTE),
    /** Bytes waiting to be written at which another send closes the link. One message may exceed it. */
    bufferedBytes: z
      .int()
      .min(KIBIBYTE)
      .default(64 * MEBIBYTE),
    /** Connections at a listener that have not said hello. */
    pendingConnections: z.int().min(1).default(64),
  })
  .readonly();

/** Bounds of one end of the wire, units last in the names. */
export type WireLimits = z.output<typeof limitsSchema>;

/**
 * What both ends need. Credentials (`token`, `tokens`, and what `tls` holds) are read for each new connection, so a site
 * may change them while it runs; whether there is `tls` is settled when the transport is made.
 */
export interface WireOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly report: Reporter;
  /** The bearer token that both sites hold; printable ASCII without spaces. */
  readonly token?: string | undefined;
  readonly limits?: Partial<WireLimits> | undefined;
}

/** Where a consumer listens. */
export interface Remote {
  readonly address: string;
  readonly port: number;
}

export interface DialOptions extends WireOptions {
  readonly remotes: readonly Remote[];
  /** `connection-retry-interval-ms`: the wait after a first failure. Backoff says how it grows. */
  readonly retryIntervalMs: number;
  /**
   * Dial `wss`. `authority`: PEM certificates that the far end's has to descend from; without it, those that Node
   * trusts.
   */
  readonly tls?: { readonly authority?: string | Buffer | undefined } | undefined;
}

export interface ListenOptions extends WireOptions {
  /** An address of this machine; default 127.0.0.1. The configuration checks what any other address needs. */
  readonly address?: string | undefined;
  /** 0: any free one. */
  readonly port: number;
  /** More bearer tokens; a primary needs one with the right `replicate`. `token` has it. */
  readonly tokens?: readonly AccessToken[] | undefined;
  /** Listen for `wss`: certificate chain and key in PEM. */
  readonly tls?: { readonly certificate: string | Buffer; readonly key: string | Buffer } | undefined;
  /**
   * `enable-server-auto-restart`: a listener that fails binds again, with back-off around `retryIntervalMs`. Default
   * false.
   */
  readonly autoRestart?: boolean | undefined;
  /** Default 1000. */
  readonly retryIntervalMs?: number | undefined;
}

/** @throws EvertreeError CONFIGURATION_INVALID naming the limit */
export function resolveLimits(limits: Partial<WireLimits> | undefined): WireLimits {
  const result = limitsSchema.safeParse(limits ?? {});
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new EvertreeError('CONFIGURATION_INVALID', `limits.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

/** @throws EvertreeError CONFIGURATION_INVALID, without the token */
export function checkToken(token: string | undefined): void {
  if (token === undefined || /^[\x21-\x7e]{1,4096}$/.test(token)) return;
  throw new EvertreeError(
    'CONFIGURATION_INVALID',
    'the token has to be 1 to 4096 printable ASCII characters without spaces; write one with `openssl rand -hex 32 > token`',
  );
}

/** Options of the WebSocket library at both ends. */
export function websocketOptions(limits: WireLimits) {
  // Compression here is 30 times slower than the networks that it is for.
  return { perMessageDeflate: false, maxPayload: PAYLOAD_LIMIT_BYTES, closeTimeout: limits.closeTimeoutMs } as const;
}
