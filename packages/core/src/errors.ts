/** The stable codes that people and programs meet; HTTP answers and exit statuses follow from them. */
export type ErrorCode =
  | 'PATH_INVALID'
  | 'VALUE_INVALID'
  | 'TRANSACTION_INVALID'
  | 'NOT_FOUND'
  | 'TEST_FAILED'
  | 'MARK_EXISTS'
  | 'POSITION_MISMATCH'
  | 'GUARD_FAILED'
  | 'NOT_PRIMARY'
  | 'FENCED'
  | 'SWITCHING'
  | 'TOO_LARGE'
  | 'STORAGE_FULL'
  | 'STORAGE_FAILED'
  | 'NOT_DURABLE'
  | 'COMPACTED'
  | 'ACKNOWLEDGEMENT_TIMEOUT'
  | 'CLOSED'
  | 'DIRECTORY_IN_USE'
  | 'WRONG_ROLE'
  | 'DAMAGED'
  | 'UNFINISHED'
  | 'FORMAT_INVALID'
  | 'FORMAT_UNSUPPORTED'
  | 'STREAM_MISMATCH'
  | 'HISTORY_MISMATCH'
  | 'DIGEST_MISMATCH'
  | 'PROTOCOL_VIOLATION'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'IDENTITY_NEEDED'
  | 'UNREACHABLE'
  | 'CONFIGURATION_INVALID';

export interface ErrorDetails {
  /** The pointer, file, address or line that the error is about. */
  readonly [name: string]: unknown;
}

/** Every error that Evertree throws on purpose: a code to act on, a sentence for people, and the data behind it. */
export class EvertreeError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'EvertreeError';
    this.code = code;
    this.details = details;
  }
}

export function isEvertreeError(error: unknown, code?: ErrorCode): error is EvertreeError {
  return error instanceof EvertreeError && (code === undefined || error.code === code);
}
