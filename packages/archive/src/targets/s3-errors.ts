import { type ErrorCode, EvertreeError } from '@evertree/core';
import { asError, errorCode } from '@evertree/journal/files';

/** What of an error of the S3 client is looked at. */
export interface S3Failure {
  /** The service's code, such as `NoSuchBucket`, or the name of the client's own error. */
  readonly name: string;
  readonly message: string;
  /** Of HTTP; undefined if no answer came. */
  readonly status: number | undefined;
  /** The system's code of a connection that failed, or `unknown`. */
  readonly system: string;
  /** The region of the bucket, where the service names it. */
  readonly region: string | undefined;
}

/** Refused for now, or nobody knows: another attempt may succeed. */
const PASSING: ReadonlySet<string> = new Set([
  'ConditionalRequestConflict',
  'InternalError',
  'NotAnS3Service',
  'OperationAborted',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'ServiceUnavailable',
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'Throttling',
  'ThrottlingException',
  'TimeoutError',
  'TooManyRequests',
]);
const UNTRUSTED = /^(?:CERT_|ERR_TLS|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|ERR_SSL|HOSTNAME_MISMATCH|EPROTO)/;
const STATUS_SERVER_ERROR = 500;

export function readS3Failure(error: unknown): S3Failure {
  const { $metadata, $response, Code } = error as {
    readonly $metadata?: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean };
    readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
    readonly Code?: string;
  };
  const { name, message } = asError(error);
  const status = $metadata?.httpStatusCode ?? $response?.statusCode;
  // The answer to HEAD has no code. The client has set its clock by the date of this one, which it does once.
  const isSkewed = Code === undefined && status === 403 && $metadata?.clockSkewCorrected === true;
  return {
    name: isSkewed ? 'RequestTimeTooSkewed' : (Code ?? name),
    message,
    status,
    system: errorCode(error),
    region: $response?.headers?.['x-amz-bucket-region'] ?? /expecting '([a-z0-9-]+)'/.exec(message)?.[1],
  };
}

/** Whether another attempt is worth it. */
export function isPassing({ name, status, system }: S3Failure): boolean {
  if (PASSING.has(name)) return true;
  if (status !== undefined)
    return status === 409 || status === 429 || (status >= STATUS_SERVER_ERROR && ![501, 507].includes(status)) || isCutAnswer(status);
  return system !== 'unknown' && !UNTRUSTED.test(system);
}

/** The service answered that all is well, and then its answer could not be read: it was cut. */
function isCutAnswer(status: number): boolean {
  return status >= 200 && status < 300;
}

/** An error in plain words with the remedy. */
export function s3Error(failure: S3Failure, place: S3Place, cause: unknown): EvertreeError {
  const { code, problem, remedy } = explain(failure, place);
  const { target, key, action } = place;
  const what = `${action}${key === undefined || key === '' ? '' : ` ${key}`} in the archive ${target} failed: ${problem}; ${remedy}`;
  return new EvertreeError(code, what, { target, ...(key === undefined ? {} : { key }), service: failure.name }, cause);
}

/** What was being done, and where. */
export interface S3Place {
  readonly target: string;
  readonly bucket: string;
  /** `https://…`, as it was configured; undefined for Amazon's. */
  readonly endpoint: string | undefined;
  readonly region: string;
  /** The one that was named; undefined where AWS_PROFILE, or nobody, names one. */
  readonly profile: string | undefined;
  readonly action: string;
  readonly key?: string;
}

interface Explanation {
  readonly code: ErrorCode;
  readonly problem: string;
  readonly remedy: string;
}

function explain(failure: S3Failure, place: S3Place): Explanation {
  const { name, status, message, region } = failure;
  const said = `the service answered ${status ?? 'nothing'} ${name}${message === '' || message === name ? '' : ` (${message})`}`;
  switch (name) {
    case 'NoSuchBucket':
      return {
        code: 'NOT_FOUND',
        problem: `there is no bucket ${place.bucket} at ${place.endpoint ?? 'Amazon S3'}`,
        remedy: 'make it, or mend the name or the endpoint (--endpoint, AWS_ENDPOINT_URL_S3)',
      };
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
    case 'TemporaryRedirect':
      return wrongRegion(place, region);
    case 'QuotaExceeded':
    case 'StorageQuotaExceeded':
    case 'XMinioStorageFull':
    case 'InsufficientStorage':
      return { code: 'STORAGE_FULL', problem: `the bucket is full: ${said}`, remedy: 'make room there: `evertree prune` drops old states' };
    case 'NotAnS3Service':
      return { code: 'STORAGE_FAILED', problem: message, remedy: 'see whether the endpoint is that of an S3 service' };
    default:
      break;
  }
  const refused = explainCredentials(name, said, place);
  if (refused !== undefined) return refused;
  if (status === 301 || status === 307) return wrongRegion(place, region);
  if (status === 507)
    return { code: 'STORAGE_FULL', problem: `the bucket is full: ${said}`, remedy: 'make room there: `evertree prune` drops old states' };
  if (status === 401) return { code: 'UNAUTHENTICATED', problem: said, remedy: CREDENTIALS_REMEDY };
  if (status === 403) {
    const remedy = 'the credentials need s3:ListBucket on the bucket and s3:GetObject, s3:PutObject, s3:DeleteObject on the prefix';
    return { code: 'FORBIDDEN', problem: said, remedy };
  }
  if (isPassing(failure)) return explainPassing(failure, place, said);
  if (UNTRUSTED.test(failure.system)) {
    const remedy = 'name the authority in NODE_EXTRA_CA_CERTS, or mend http/https in the endpoint';
    return {
      code: 'UNREACHABLE',
      problem: `no trusted connection to ${place.endpoint ?? 'Amazon S3'} (${failure.system}: ${message})`,
      remedy,
    };
  }
  return { code: 'STORAGE_FAILED', problem: said, remedy: 'see whether the endpoint is that of an S3 service, and what its log says' };
}

const CREDENTIALS_REMEDY =
  'give others in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in a profile of ~/.aws/credentials (--profile, AWS_PROFILE)';

function explainCredentials(name: string, said: string, { profile }: S3Place): Explanation | undefined {
  switch (name) {
    case 'CredentialsProviderError':
      return {
        code: 'UNAUTHENTICATED',
        problem: `there are no credentials${profile === undefined ? '' : ` in the profile ${JSON.stringify(profile)}`}`,
        remedy: CREDENTIALS_REMEDY,
      };
    case 'InvalidAccessKeyId':
    case 'XAdminUserNotFound':
      return { code: 'UNAUTHENTICATED', problem: 'the service does not know the access key', remedy: CREDENTIALS_REMEDY };
    case 'SignatureDoesNotMatch':
      return { code: 'UNAUTHENTICATED', problem: 'the secret key is not that of the access key', remedy: CREDENTIALS_REMEDY };
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'TokenRefreshRequired':
    case 'InvalidToken':
      return {
        code: 'UNAUTHENTICATED',
        problem: `the session token of the credentials is ${name === 'InvalidToken' ? 'refused' : 'expired'}`,
        remedy: 'sign in again (such as `aws sso login`), or use credentials that renew themselves',
      };
    case 'RequestTimeTooSkewed':
      return {
        code: 'UNAUTHENTICATED',
        problem: "this machine's clock and the service's are too far apart",
        remedy: 'set the clock that is wrong (an NTP client keeps it right)',
      };
    case 'AccountProblem':
    case 'InvalidObjectState':
      return { code: 'FORBIDDEN', problem: said, remedy: 'see to the account or the class of storage at the provider' };
    default:
      return undefined;
  }
}

function wrongRegion(place: S3Place, region: string | undefined): Explanation {
  const remedy = region === undefined ? 'give the region of the bucket with --region' : `give --region ${region}`;
  return { code: 'CONFIGURATION_INVALID', problem: `the bucket ${place.bucket} is not in the region ${place.region}`, remedy };
}

function explainPassing({ status, name, system, message }: S3Failure, place: S3Place, said: string): Explanation {
  const where = place.endpoint ?? `Amazon S3 in ${place.region}`;
  if (status !== undefined && !isCutAnswer(status)) {
    return { code: 'UNREACHABLE', problem: `${said}, again and again`, remedy: 'try again later; see whether the service is overloaded' };
  }
  const why = name === 'TimeoutError' ? 'it did not answer in time' : `${system === 'unknown' ? name : system}: ${message}`;
  return {
    code: 'UNREACHABLE',
    problem: `${where} can't be reached (${why})`,
    remedy: 'see whether the endpoint is right and the network is up',
  };
}
