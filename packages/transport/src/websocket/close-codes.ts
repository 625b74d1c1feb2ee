import type { CloseReason } from '@evertree/core';

/** PROTOCOL.md, «Closing». */
const CODES: { readonly [reason in CloseReason]: number } = {
  'going-away': 4000,
  replaced: 4001,
  fenced: 4002,
  refused: 4003,
  'stream-mismatch': 4004,
  'history-mismatch': 4005,
  'wrong-role': 4006,
  unauthenticated: 4007,
  'protocol-violation': 4008,
  'protocol-unsupported': 4009,
  'too-large': 4010,
  quarantined: 4011,
  silent: 4012,
  lost: 4013,
};

/** What RFC 6455 defines and a WebSocket library sends by itself. */
const STANDARD: readonly (readonly [number, CloseReason])[] = [
  [1001, 'going-away'],
  [1002, 'protocol-violation'],
  [1003, 'protocol-violation'],
  [1007, 'protocol-violation'],
  [1008, 'protocol-violation'],
  [1009, 'too-large'],
];

const REASONS: ReadonlyMap<number, CloseReason> = new Map([
  ...Object.entries(CODES).map(([reason, code]) => [code, reason as CloseReason] as const),
  ...STANDARD,
]);

/** What a close frame has room for beside its code. */
const EXPLANATION_BYTES = 123;
const ELLIPSIS = '…';

export function closeCode(reason: CloseReason): number {
  return CODES[reason];
}

/** `lost` for every code that PROTOCOL.md does not name. */
export function closeReason(code: number): CloseReason {
  return REASONS.get(code) ?? 'lost';
}

/**
 * As much of `explanation` as a close frame holds: cut between two characters, with an ellipsis where something is
 * missing.
 */
export function fitExplanation(explanation: string): Buffer {
  const bytes = Buffer.from(explanation);
  if (bytes.length <= EXPLANATION_BYTES) return bytes;
  const { written } = new TextEncoder().encodeInto(explanation, bytes.subarray(0, EXPLANATION_BYTES - Buffer.byteLength(ELLIPSIS)));
  return Buffer.concat([bytes.subarray(0, written), Buffer.from(ELLIPSIS)]);
}
