import { EvertreeError } from '../errors.ts';
import type { ErrorDetails } from '../errors.ts';
import { PROTOCOL_VERSIONS } from '../seams/transport.ts';
import type { CloseReason, FarEnd, Hello } from '../seams/transport.ts';
import { epochsAt, type EpochName } from '../lineage.ts';
import type { Store } from '../store/store.ts';

/** A hello that is turned away: what the far end is told, and what is told here. */
export interface Refusal {
  readonly reason: CloseReason;
  readonly error: EvertreeError;
}

/** What of a site its far ends are compared with. */
export type Host = Pick<Hello, 'site' | 'role' | 'stream'>;

/** What a hello tells beside the store's history. */
export interface Introduction {
  /** The program's own version, for people. */
  readonly program: string;
  readonly standby: boolean;
  readonly advertised: string | undefined;
  readonly raises: EpochName | undefined;
  readonly catchesUp?: boolean;
}

/** What a site says of itself on every link; stable positions only. */
export function helloOf(store: Store, { program, standby, advertised, raises, catchesUp = false }: Introduction): Hello {
  const { site, role, standing, stream, stable, journal } = store;
  const { fencedBy } = journal.identity;
  const { position, digest } = stable;
  return {
    protocols: PROTOCOL_VERSIONS,
    program,
    site,
    role,
    stream,
    position,
    digest,
    // What a frame tells of its epoch is in the table before the frame is stable.
    epochs: epochsAt(store.lineage, position.revision),
    durable: journal.log.durable,
    standing,
    standby,
    ...(fencedBy === undefined ? {} : { fencedBy }),
    ...(advertised === undefined ? {} : { advertised }),
    ...(catchesUp ? { catchesUp } : {}),
    ...(raises === undefined ? {} : { raises }),
  };
}

/** Refuses a far end with whose release this one has no version of the protocol in common. */
export function refuseVersion({ site, protocols }: Hello): Refusal | undefined {
  if (protocols.some(version => PROTOCOL_VERSIONS.includes(version))) return undefined;
  const message =
    `${site} speaks the protocol's versions ${protocols.join(', ')}, this program ${PROTOCOL_VERSIONS.join(', ')}: ` +
    'bring both sites to releases that have one in common';
  return refusal('protocol-unsupported', 'FORMAT_UNSUPPORTED', message);
}

/** Refuses a far end in the role of this site: a primary feeds secondaries, and nobody else. */
export function refuseRole(ours: Host, { site, role }: Hello): Refusal | undefined {
  if (role !== ours.role) return undefined;
  const message =
    `${site} is a ${role}, as ${ours.site} is: a primary feeds secondaries only; ` +
    'check the address, or start one of the two in the other role';
  return refusal('wrong-role', 'WRONG_ROLE', message);
}

/**
 * Refuses a far end where the secondary of the two holds another stream than the primary.
 * @param farEnd what speaks the hello: a log has a remedy of its own
 */
export function refuseStream(ours: Host, theirs: Hello, farEnd: FarEnd): Refusal | undefined {
  const [primary, secondary] = ours.role === 'primary' ? [ours, theirs] : [theirs, ours];
  if (secondary.stream === null || secondary.stream === primary.stream) return undefined;
  const held = primary.stream === null ? 'has no commit yet and so no stream' : `has the stream ${primary.stream}`;
  const remedy =
    farEnd.kind === 'log'
      ? `one stream has one log; ${farEnd.remedy}`
      : 'check the addresses and the data directories; a secondary that is to follow another stream starts with an empty directory';
  const message = `${secondary.site} holds the stream ${secondary.stream}, and ${primary.site} ${held}: ${remedy}`;
  return refusal('stream-mismatch', 'STREAM_MISMATCH', message, { expected: ours.stream, found: theirs.stream });
}

export function refusal(reason: CloseReason, code: EvertreeError['code'], message: string, details: ErrorDetails = {}): Refusal {
  return { reason, error: new EvertreeError(code, message, details) };
}
