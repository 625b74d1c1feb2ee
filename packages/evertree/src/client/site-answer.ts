import type { IncomingMessage } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { EvertreeError, type ErrorCode, type Position, parsePosition, parseJson } from '@evertree/core';

/** OpenSSL's codes for a certificate of an authority that this machine does not trust. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Remedies at the command line for refusals of a site, by code. */
const REMEDIES: Readonly<Record<string, string>> = {
  UNAUTHENTICATED: '; name the file that holds it in EVERTREE_TOKEN_FILE, or with --token-file',
  MARK_EXISTS: ' (--move moves it)',
};

/** An answer whose headers have come. */
export class SiteAnswer {
  readonly #message: IncomingMessage;
  readonly #url: URL;
  readonly #silenceMs: number;

  constructor(message: IncomingMessage, url: URL, silenceMs: number) {
    this.#message = message;
    this.#url = url;
    this.#silenceMs = silenceMs;
  }

  get isGood(): boolean {
    const { statusCode = 0 } = this.#message;
    return statusCode >= 200 && statusCode < 300;
  }

  /** The position that the answer was taken from, where it says so. */
  get position(): Position | undefined {
    return parsePosition(this.header('evertree-position') ?? '');
  }

  /** Reads no more of it. */
  discard(): void {
    this.#message.destroy();
  }

  header(name: string): string | undefined {
    const value = this.#message.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /**
   * The body as it comes in. Only the time that the reader waits for the site counts as silence.
   * @throws EvertreeError UNREACHABLE when the site goes silent or cuts it
   */
  async *body(): AsyncGenerator<Uint8Array> {
    const chunks = this.#message[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    for (;;) {
      const expire = () => this.#message.destroy(new SilenceError(true, this.#silenceMs, false));
      const timer = setTimeout(expire, this.#silenceMs);
      let next: IteratorResult<Uint8Array>;
      try {
        next = await chunks.next();
      } catch (error) {
        if (error instanceof SilenceError) throw unreachable(this.#url, error);
        const message = `${this.#url.origin} ended its answer before the end: it was stopped, or the connection broke; see whether it runs, and ask again`;
        throw new EvertreeError('UNREACHABLE', message, { url: this.#url.origin }, error);
      } finally {
        clearTimeout(timer);
      }
      if (next.done === true) return;
      yield next.value;
    }
  }

  /** The values of newline-delimited JSON, as they come in. */
  async *lines(): AsyncGenerator {
    const decoder = new TextDecoder();
    let rest: string[] = [];
    for await (const chunk of this.body()) {
      const [first = '', ...lines] = decoder.decode(chunk, { stream: true }).split('\n');
      rest.push(first);
      for (const line of lines) {
        const text = rest.join('');
        rest = [line];
        if (text !== '') yield parseJson(text);
      }
    }
    const text = rest.join('');
    if (text !== '') yield parseJson(text);
  }

  text(): Promise<string> {
    return textOf(this.body());
  }

  async json(): Promise<unknown> {
    return parseJson(await this.text());
  }

  /** The error that the site answered with. */
  async refusal(): Promise<EvertreeError> {
    const text = await this.text();
    let problem: unknown;
    try {
      problem = parseJson(text);
    } catch (cause) {
      const { statusCode: status, statusMessage } = this.#message;
      const message = `${this.#url.origin} answered ${status} ${statusMessage}, and not as a site does; does something else run there?`;
      return new EvertreeError('UNREACHABLE', message, { status }, cause);
    }
    const { code, detail, title, status, type, ...details } = problem as Record<string, unknown>;
    // A newer site may have codes that this program does not know; they are passed on.
    const told = String(detail ?? title ?? status ?? type);
    return new EvertreeError(String(code) as ErrorCode, withRemedy(String(code), told, details), details);
  }
}

/** What a refusal says of the site that is the primary. */
interface NamedPrimary {
  readonly site?: string;
  readonly address?: string;
}

/** Codes of refusals that name the primary: it would take the request. */
const ELSEWHERE: ReadonlySet<string> = new Set(['NOT_PRIMARY', 'FENCED'] satisfies ErrorCode[]);

/** Where the primary is reached, if a refusal says so: by a redirect, or in its body. */
export function primaryOf(answer: SiteAnswer, { code, details }: EvertreeError): URL | undefined {
  if (!ELSEWHERE.has(code)) return undefined;
  const { address } = (details['primary'] ?? {}) as NamedPrimary;
  const url = URL.parse(answer.header('location') ?? address ?? '');
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? new URL(url.origin) : undefined;
}

/** The text of a refusal, and what helps at the command line: where the primary is, each thing once. */
function withRemedy(code: string, text: string, details: Readonly<Record<string, unknown>>): string {
  const { site, address } = (details['primary'] ?? {}) as NamedPrimary;
  if (!ELSEWHERE.has(code) || site === undefined) return text + (REMEDIES[code] ?? '');
  if (address === undefined) return text.includes(`its primary only, which is ${site}`) ? text : `${text}: its primary is ${site}`;
  const rest = text.replace(` (${address})`, '');
  return rest.includes(address)
    ? `${rest}; its primary is ${site} (--follow goes there)`
    : `${rest}: its primary is ${site}, at ${address} (--follow goes there)`;
}

/** The site did not accept the connection in time, or it did and then sent nothing. */
export class SilenceError extends Error {
  constructor(wasReached: boolean, silenceMs: number, mayHaveChanged: boolean) {
    const seconds = silenceMs / 1_000;
    const unknown = mayHaveChanged ? '; whether the change was committed is not known' : '';
    const remedy = 'look at its process and its log, or wait longer with --timeout SECONDS';
    super(
      wasReached
        ? `was reached, but has been silent for ${seconds} s${unknown}: it hangs, or is very busy; ${remedy}`
        : `accepts no connection (waited ${seconds} s): the machine is away, or a firewall is between; check the address`,
    );
  }
}

/** @param mayHaveChanged whether it was asked for a change */
export function unreachable(url: URL, error: NodeJS.ErrnoException, mayHaveChanged = false): EvertreeError {
  const at = { url: url.origin };
  if (error instanceof SilenceError) return new EvertreeError('UNREACHABLE', `${url.origin} ${error.message}`, at, error);
  if (UNTRUSTED.has(error.code ?? '')) {
    const remedy = "name its authority's PEM file with --ca or EVERTREE_CA (or NODE_EXTRA_CA_CERTS)";
    return new EvertreeError('UNREACHABLE', `the certificate of ${url.origin} is not trusted (${error.code}); ${remedy}`, at, error);
  }
  const early = endedEarly(url, error, mayHaveChanged);
  if (early !== undefined) return new EvertreeError('UNREACHABLE', early, at, error);
  const reason = error.code === 'ECONNREFUSED' ? 'nothing listens there' : error.message || String(error.code);
  const message = `no site answers at ${url.origin} (${reason}); start one, or name another with --url`;
  return new EvertreeError('UNREACHABLE', message, at, error);
}

/** What a connection that was made and then ended says: the site died, or one side speaks TLS and the other does not. */
function endedEarly(
  { protocol, origin, host }: URL,
  { code, message }: NodeJS.ErrnoException,
  mayHaveChanged: boolean,
): string | undefined {
  if (protocol === 'https:' && code === 'EPROTO') return `${origin} speaks no TLS; if the site is without, write http://${host}`;
  if (code !== 'ECONNRESET' || message !== 'socket hang up') return undefined;
  const unknown = mayHaveChanged ? '; if it was, whether the change was committed is not known' : '';
  const tls = protocol === 'http:' ? `, or it speaks TLS: then write https://${host}` : '';
  return `${origin} took the connection and ended it without an answer: it was stopped${tls}${unknown}`;
}
