import type { Clock } from '@evertree/core';
import type { Connection, SASLOptions } from '@platformatic/kafka';
import type { KafkaCredentials } from '../options.ts';
import type { Library } from './library.ts';

type Authenticate = NonNullable<SASLOptions['authenticate']>;
type LoggedIn = Parameters<Authenticate>[6];
type AskBroker = Parameters<Authenticate>[2];

const MECHANISMS = {
  plain: 'PLAIN',
  'scram-sha-256': 'SCRAM-SHA-256',
  'scram-sha-512': 'SCRAM-SHA-512',
  oauthbearer: 'OAUTHBEARER',
} as const;
const SCRAM = { 'scram-sha-256': 'SHA-256', 'scram-sha-512': 'SHA-512' } as const;
/** The part of a session's time after which a new connection takes its place. */
const SESSION_USED = 0.8;

/**
 * How connections log in, and until when they are logged in.
 *
 * The library's own logging in again is not used: a request that is sent meanwhile makes the broker close the
 * connection. A connection whose session is nearly over is left for a new one between two requests.
 */
export class Login {
  readonly options: SASLOptions;
  readonly #library: Library;
  readonly #credentials: KafkaCredentials;
  readonly #clock: Clock | undefined;
  /** On the monotonic clock, milliseconds. Only connections whose broker bounds sessions. */
  readonly #endsAt = new WeakMap<Connection, number>();

  constructor(library: Library, credentials: KafkaCredentials, clock: Clock | undefined) {
    this.#library = library;
    this.#credentials = credentials;
    this.#clock = clock;
    this.options = {
      mechanism: MECHANISMS[credentials.mechanism],
      authenticate: (_mechanism, connection, ask, _username, _password, _token, answered) => this.#authenticate(connection, ask, answered),
    };
  }

  isOver(connection: Connection): boolean {
    return (this.#clock?.monotonic() ?? 0) >= (this.#endsAt.get(connection) ?? Infinity);
  }

  #authenticate(connection: Connection, ask: AskBroker, answered: LoggedIn): void {
    const { saslOAuthBearer, saslPlain, saslScramSha } = this.#library;
    const credentials = this.#credentials;
    const done: LoggedIn = (error, response) => {
      if (error || response === undefined) return answered(error ?? new Error('no answer'));
      const refusal = this.#refusalOf(response.authBytes);
      if (refusal !== undefined) return answered(refusal);
      const lifetimeMs = Number(response.sessionLifetimeMs);
      // Without a clock nobody stays for so long.
      if (lifetimeMs > 0 && this.#clock !== undefined) this.#endsAt.set(connection, this.#clock.monotonic() + lifetimeMs * SESSION_USED);
      return answered(null, { ...response, sessionLifetimeMs: 0n });
    };
    const safe = guarded(ask, done);
    if (credentials.mechanism === 'oauthbearer') saslOAuthBearer.authenticate(safe, connection, credentials.token, {}, done);
    else if (credentials.mechanism === 'plain') saslPlain.authenticate(safe, connection, credentials.username, credentials.password, done);
    else {
      const { mechanism, username, password } = credentials;
      saslScramSha.authenticate(safe, connection, SCRAM[mechanism], username, password, saslScramSha.defaultCrypto, done);
    }
  }

  /** A broker tells of a token that it refuses in JSON, and waits for a last word before it closes the connection. */
  #refusalOf(answer: Buffer): Error | undefined {
    if (this.#credentials.mechanism !== 'oauthbearer' || answer.length === 0) return undefined;
    return new this.#library.AuthenticationError(`it refuses the token: ${String(answer)}`);
  }
}

/** The library throws out of the socket's event where an answer is malformed: that would end the process. */
function guarded(ask: AskBroker, failed: LoggedIn): AskBroker {
  const call = (connection: Connection, bytes: Buffer, answered: LoggedIn) =>
    ask(connection, bytes, (error, response) => {
      try {
        if (error !== null || response === undefined) failed(error ?? new Error('no answer'));
        else answered(null, response);
      } catch (thrown) {
        failed(thrown as Error);
      }
    });
  return Object.assign(call, { async: ask.async, key: ask.key, version: ask.version }) as AskBroker;
}
