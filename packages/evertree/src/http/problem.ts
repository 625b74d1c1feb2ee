import { EvertreeError, type ErrorCode, type ErrorDetails } from '@evertree/core';
import { fileFailed } from '@evertree/journal/files';
import { STATUS_CODES } from '../node-http.ts';

/** Codes of errors that only HTTP knows, beside the core's. */
export type RequestCode =
  | 'REQUEST_INVALID'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_ACCEPTABLE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'REQUEST_TIMEOUT'
  | 'HEAD_TOO_LARGE'
  | 'OVERLOADED'
  | 'NOT_ACKNOWLEDGED'
  | 'INTERNAL';

const STATUSES: Readonly<Record<ErrorCode | RequestCode, number>> = {
  PATH_INVALID: 400,
  VALUE_INVALID: 400,
  TRANSACTION_INVALID: 400,
  REQUEST_INVALID: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  IDENTITY_NEEDED: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_ACCEPTABLE: 406,
  REQUEST_TIMEOUT: 408,
  TEST_FAILED: 409,
  MARK_EXISTS: 409,
  NOT_PRIMARY: 409,
  FENCED: 409,
  SWITCHING: 503,
  WRONG_ROLE: 409,
  STREAM_MISMATCH: 409,
  HISTORY_MISMATCH: 409,
  COMPACTED: 410,
  POSITION_MISMATCH: 412,
  TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  GUARD_FAILED: 422,
  CONFIGURATION_INVALID: 422,
  HEAD_TOO_LARGE: 431,
  OVERLOADED: 503,
  NOT_ACKNOWLEDGED: 503,
  CLOSED: 503,
  STORAGE_FAILED: 503,
  NOT_DURABLE: 503,
  UNREACHABLE: 503,
  ACKNOWLEDGEMENT_TIMEOUT: 504,
  STORAGE_FULL: 507,
  INTERNAL: 500,
  DIRECTORY_IN_USE: 500,
  DAMAGED: 500,
  UNFINISHED: 500,
  FORMAT_INVALID: 500,
  FORMAT_UNSUPPORTED: 500,
  DIGEST_MISMATCH: 500,
  PROTOCOL_VIOLATION: 500,
};

/** A request that is refused before the store sees it. */
export class RequestError extends Error {
  readonly code: ErrorCode | RequestCode;
  readonly details: ErrorDetails;
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number;

  constructor(
    code: ErrorCode | RequestCode,
    message: string,
    details: ErrorDetails = {},
    headers: Readonly<Record<string, string>> = {},
    status = STATUSES[code],
  ) {
    super(message);
    this.status = status;
    this.name = 'RequestError';
    this.code = code;
    this.details = details;
    this.headers = headers;
  }
}

/** The client went away before its answer. */
export class ClientGone extends Error {
  constructor() {
    super('the client closed the connection');
    this.name = 'ClientGone';
  }
}

/** RFC 9457. Members beside these come from the error's details. */
export interface Problem {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode | RequestCode;
  readonly detail: string;
  readonly [member: string]: unknown;
}

/** An error that people were meant to read. */
export type ExpectedError = EvertreeError | RequestError;

/** Whether this error is meant for people. Any other one is a fault of this program, and its text is not sent. */
export function isExpected(error: unknown): error is ExpectedError {
  return error instanceof EvertreeError || error instanceof RequestError;
}

/**
 * The error to answer with: a disk that is full or fails is no fault of the program. The journal says so itself, but a
 * snapshot, a lease or another small file fails with the error of the system. Any other error stays as it is.
 */
export function answerable(error: unknown): unknown {
  return isExpected(error) ? error : (fileFailed(error) ?? error);
}

export function problemOf(error: unknown): Problem {
  const code = isExpected(error) ? error.code : 'INTERNAL';
  const status = error instanceof RequestError ? error.status : STATUSES[code];
  const problem: Problem = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code,
    detail: isExpected(error) ? error.message : 'a fault inside the program; see its log',
  };
  // Twice: these members come first, and details that bear their names never replace them.
  return isExpected(error) ? { ...problem, ...error.details, ...problem } : problem;
}
