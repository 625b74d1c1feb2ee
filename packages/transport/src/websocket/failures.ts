import { EvertreeError } from '@evertree/core';
import type { ErrorCode } from '@evertree/core';
import { offeredSubprotocols } from './handshake.ts';

/** What a person does about the errors that Node gives when a far end can't be reached. */
const DIAL_REMEDIES: { readonly [code: string]: string } = {
  ECONNREFUSED: 'nothing listens there; start the consumer, or mend consumer-address and consumer-port',
  ENOTFOUND: 'no such host; mend consumer-address',
  EAI_AGAIN: 'its name could not be looked up just now',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ETIMEDOUT: 'it does not answer; is a firewall between?',
  ECONNRESET: 'it closed the connection at once; does it expect TLS?',
  EPROTO: 'it does not answer in TLS; does its tls section fit to the one here?',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'its certificate is signed by itself; give that certificate, or the authority that signs it, as tls.authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not known here; give it as tls.authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not known here; give it as tls.authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not known here; give it as tls.authority',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name; dial it by the name in the certificate',
  CERT_HAS_EXPIRED: 'its certificate has expired; renew it',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; compare the two clocks',
};

const LISTEN_REMEDIES: { readonly [code: string]: string } = {
  EADDRINUSE: 'another process has this port; stop it, or choose another listening-port',
  EADDRNOTAVAIL: 'this machine has no such address; mend listening-address',
  EACCES: 'this user may not take the port; choose one above 1023',
  ENOTFOUND: 'no such host; mend listening-address',
};

const STATUS_CODES: { readonly [status: number]: ErrorCode } = { 401: 'UNAUTHENTICATED', 403: 'FORBIDDEN', 400: 'FORMAT_UNSUPPORTED' };

/** A far end that can't be reached, and what to do about it. */
export function dialFailure(remote: string, cause: Error): EvertreeError {
  return failure(`can't reach ${remote}`, remote, cause, DIAL_REMEDIES);
}

/** An address that can't be listened on, and what to do about it. */
export function listenFailure(address: string, cause: Error): EvertreeError {
  return failure(`can't listen on ${address}`, address, cause, LISTEN_REMEDIES);
}

const HINTS: { readonly [code in ErrorCode]?: string } = {
  UNREACHABLE: '; is it an Evertree consumer?',
  FORMAT_UNSUPPORTED: `; this site speaks ${offeredSubprotocols().join(', ')}: bring both sites to releases that have one in common`,
};

/** A far end that answered the upgrade with something else. `sentence`: its own words, printable. */
export function refusedFailure(remote: string, status: number, sentence: string): EvertreeError {
  const code = STATUS_CODES[status] ?? 'UNREACHABLE';
  const hint = HINTS[code] ?? '';
  return new EvertreeError(code, `${remote} refused the connection (${status}): ${sentence || 'no reason given'}${hint}`, {
    remote,
    status,
  });
}

function failure(what: string, address: string, cause: Error, remedies: { readonly [code: string]: string }): EvertreeError {
  const code = errorCode(cause);
  const remedy = remedies[code];
  const message = remedy === undefined ? `${what}: ${cause.message || code}` : `${what}: ${remedy} (${code})`;
  return new EvertreeError('UNREACHABLE', message, { address, reason: code }, cause);
}

function errorCode(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
