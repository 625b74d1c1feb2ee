import { EvertreeError, PROTOCOL_VERSIONS, compareEpochs, formatPosition, highestEpoch } from '@evertree/core';
import type { CloseReason, Epoch, ExactPosition, Hello } from '@evertree/core';

/** The secondary that is asked, and who feeds it. */
export interface Host {
  readonly site: string;
  readonly stream: string | null;
  readonly position: ExactPosition;
  readonly epochs: readonly Epoch[];
  /** The hello of the primary that has the place, and its address. */
  readonly holder: { readonly hello: Hello; readonly remote: string } | undefined;
  /** Why a frame is in quarantine here. */
  readonly quarantine: string | undefined;
}

export interface Refusal {
  readonly kind: 'refuse';
  readonly reason: CloseReason;
  readonly error: EvertreeError;
}

export type Admission =
  /** It has the place from now on; whoever had it is closed for this reason. */
  { readonly kind: 'take'; readonly closes: 'replaced' | 'fenced' } | Refusal;

/** Whether a far end that has said hello becomes this secondary's primary. It has one at a time. */
export function admit(host: Host, hello: Hello): Admission {
  return refuseStranger(host, hello) ?? refuseFenced(host, hello) ?? refuseAny(host) ?? placeFor(host, hello);
}

function refuseStranger(host: Host, hello: Hello): Refusal | undefined {
  if (!hello.protocols.some(version => PROTOCOL_VERSIONS.includes(version))) {
    return refuse(
      'protocol-unsupported',
      'FORMAT_UNSUPPORTED',
      `${hello.site} speaks the protocol's versions ${hello.protocols.join(', ')}, this program ${PROTOCOL_VERSIONS.join(', ')}: ` +
        'bring both sites to releases that have one in common',
    );
  }
  if (hello.role !== 'primary') {
    return refuse('wrong-role', 'WRONG_ROLE', `${hello.site} is a secondary, as ${host.site} is: only a primary feeds a secondary`);
  }
  if (host.stream === null || hello.stream === host.stream) return undefined;
  const theirs = hello.stream === null ? 'has no commit yet and so no stream' : `has the stream ${hello.stream}`;
  return refuse(
    'stream-mismatch',
    'STREAM_MISMATCH',
    `${host.site} holds the stream ${host.stream}, and ${hello.site} ${theirs}: check the addresses and the data directories; ` +
      'a secondary that is to follow another stream starts with an empty directory',
    { expected: host.stream, found: hello.stream },
  );
}

function refuseFenced(host: Host, hello: Hello): Refusal | undefined {
  const ours = highestEpoch(host.epochs, host.position);
  const theirs = highestEpoch(hello.epochs, hello.position);
  if (compareEpochs(theirs, ours) >= 0) return undefined;
  return refuse(
    'fenced',
    'FENCED',
    `${hello.site} is the primary of epoch ${theirs.number} (${theirs.id}), and ${host.site} at ${formatPosition(host.position)} knows ` +
      `epoch ${ours.number} (${ours.id}): another site has become the primary since`,
    { ours, theirs },
  );
}

function refuseAny(host: Host): Refusal | undefined {
  if (host.quarantine === undefined) return undefined;
  return refuse('quarantined', 'FENCED', `${host.site} reads nothing until it is started again: ${host.quarantine}`);
}

function placeFor(host: Host, hello: Hello): Admission {
  const { holder } = host;
  if (holder === undefined || holder.hello.site === hello.site) return { kind: 'take', closes: 'replaced' };
  const theirs = highestEpoch(hello.epochs, hello.position);
  const held = highestEpoch(holder.hello.epochs, holder.hello.position);
  if (compareEpochs(theirs, held) > 0) return { kind: 'take', closes: 'fenced' };
  return refuse(
    'refused',
    'FORBIDDEN',
    `${host.site} is fed by ${holder.hello.site} (${holder.remote}) in epoch ${held.number}, and a secondary has one primary: ` +
      `stop ${holder.hello.site} first`,
    { holder: holder.hello.site, remote: holder.remote },
  );
}

function refuse(reason: CloseReason, code: EvertreeError['code'], message: string, details: EvertreeError['details'] = {}): Refusal {
  return { kind: 'refuse', reason, error: new EvertreeError(code, message, details) };
}
