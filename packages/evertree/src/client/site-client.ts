import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { EvertreeError, type ErrorCode, type Path, formatPath } from '@evertree/core';

/** The longest path of a URL that is sent; longer pointers go into the query, which proxies leave as it is. */
const URL_PATH_LIMIT_CHARACTERS = 8 * 1024;
/** How long a site may be silent by default. */
export const DEFAULT_TIMEOUT_MS = 10_000;
/** A longer body waits until the site asks for it (`100 Continue`): a refusal then costs no upload. */
const LONG_BODY_CHARACTERS = 1024 * 1024;
/** After this time the body is sent without `100 Continue`: a proxy may not have passed it on. */
const EXPECT_LIMIT_MS = 2_000;
/** What a site may take to say that it lives. */
const PROBE_LIMIT_MS = 2_000;

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
};

export interface WriteAnswer {
  readonly position: { readonly epoch: number; readonly revision: number };
  readonly acknowledged: number;
}

export interface ClientSettings {
  readonly token?: string;
  /** PEM certificates that the site's has to descend from; without it, those that Node trusts. */
  readonly authority?: string;
  /** How long the site may be silent before it accepts a connection, before it answers, and within an answer. */
  readonly timeoutMs?: number;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** The answer may take longer than the timeout, as long as the site answers `GET /healthz`. */
  readonly patient?: boolean;
  /** How long the answer's body may be silent, if that is not the timeout. */
  readonly silenceMs?: number;
}

/**
 * Talks to a running site. Each request has its own connection, so none is sent on one that the site closes just then.
 */
export class SiteClient {
  readonly url: URL;
  readonly #settings: ClientSettings;
  readonly #timeoutMs: number;

  constructor(url: URL, settings: ClientSettings = {}) {
    this.url = url;
    this.#settings = settings;
    this.#timeoutMs = settings.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /**
   * @param target path and query under the site's URL, already encoded
   * @throws EvertreeError UNREACHABLE, or what the site answered; the signal's reason once that is aborted
   */
  async request(target: string, options: RequestOptions = {}): Promise<SiteAnswer> {
    const url = new URL(this.url.pathname.replace(/\/$/, '') + target, this.url);
    const message = await this.#send(url, options);
    const answer = new SiteAnswer(message, this.url, options.silenceMs ?? this.#timeoutMs);
    if (message.statusCode !== undefined && message.statusCode >= 200 && message.statusCode < 300) return answer;
    const error = await answer.refusal();
    message.destroy();
    throw error;
  }

  async json(target: string, options: RequestOptions = {}): Promise<unknown> {
    return (await this.request(target, options)).json();
  }

  async write(target: string, options: RequestOptions): Promise<WriteAnswer> {
    // The site may wait for secondaries as long as its configuration says. Giving up would leave the outcome unknown.
    return (await this.json(target, { ...options, patient: true })) as WriteAnswer;
  }

  async #send(url: URL, options: RequestOptions): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request = this.#open(url, options);
    const changes = options.method !== undefined;
    let isConnected = false;
    request.once('socket', (socket: Socket) => socket.once('connect', () => (isConnected = true)));
    request.once('response', resolve);
    request.on('error', reject);
    request.on('timeout', () => {
      const expire = () => request.destroy(new SilenceError(isConnected, this.#timeoutMs, changes));
      if (!isConnected || options.patient !== true) expire();
      else void this.#lives().then(lives => (lives ? request.setTimeout(this.#timeoutMs) : expire()));
    });
    sendBody(request, options.body);
    try {
      const message = await promise;
      request.setTimeout(0);
      return message;
    } catch (error) {
      if (options.signal?.aborted === true) throw options.signal.reason;
      throw unreachable(this.url, error as NodeJS.ErrnoException);
    }
  }

  #open(url: URL, { method = 'GET', headers, body, signal }: RequestOptions): ClientRequest {
    const { token, authority } = this.#settings;
    const request = url.protocol === 'https:' ? requestHttps : requestHttp;
    return request(url, {
      method,
      agent: false,
      timeout: this.#timeoutMs,
      headers: {
        ...headers,
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }),
        ...(isLong(body) ? { Expect: '100-continue' } : {}),
      },
      ...(authority === undefined ? {} : { ca: authority }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Whether the site answers at all. */
  async #lives(): Promise<boolean> {
    try {
      await new SiteClient(this.url, { ...this.#settings, timeoutMs: Math.min(this.#timeoutMs, PROBE_LIMIT_MS) }).request('/healthz');
      return true;
    } catch (error) {
      return error instanceof EvertreeError && error.code !== 'UNREACHABLE';
    }
  }
}

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
        const message = `${this.#url.origin} ended its answer before the end`;
        throw new EvertreeError('UNREACHABLE', message, { url: this.#url.origin }, error);
      } finally {
        clearTimeout(timer);
      }
      if (next.done === true) return;
      yield next.value;
    }
  }

  text(): Promise<string> {
    return textOf(this.body());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  /** The error that the site answered with. */
  async refusal(): Promise<EvertreeError> {
    const text = await this.text();
    let problem: unknown;
    try {
      problem = JSON.parse(text);
    } catch (cause) {
      const { statusCode: status, statusMessage } = this.#message;
      const message = `${this.#url.origin} answered ${status} ${statusMessage}, and not as a site does; does something else run there?`;
      return new EvertreeError('UNREACHABLE', message, { status }, cause);
    }
    const { code, detail, title, status, type, ...details } = problem as Record<string, unknown>;
    // A newer site may have codes that this program does not know; they are passed on.
    return new EvertreeError(
      String(code) as ErrorCode,
      `${String(detail ?? title ?? status ?? type)}${remedyOf(String(code), details)}`,
      details,
    );
  }
}

/** The target of a path: `/data/a/b`, or `/data?pointer=…` for what URL parsers would alter or that is very long. */
export function targetOf(resource: 'data' | 'watch', path: Path): string {
  const pointer = formatPath(path);
  const encoded = pointer.split('/').map(encodeURIComponent).join('/');
  const altered = path.some(segment => segment === '.' || segment === '..');
  if (!altered && encoded.length <= URL_PATH_LIMIT_CHARACTERS) return `/${resource}${encoded}`;
  return `/${resource}?pointer=${encodeURIComponent(pointer)}`;
}

function isLong(body: string | undefined): boolean {
  return body !== undefined && body.length > LONG_BODY_CHARACTERS;
}

function sendBody(request: ClientRequest, body: string | undefined): void {
  if (!isLong(body)) {
    request.end(body);
    return;
  }
  const timer = setTimeout(() => request.end(body), EXPECT_LIMIT_MS);
  request.once('continue', () => request.end(body));
  for (const event of ['continue', 'response', 'close']) request.once(event, () => clearTimeout(timer));
  request.flushHeaders();
}

function remedyOf(code: string, details: Readonly<Record<string, unknown>>): string {
  const { site } = (details['primary'] ?? {}) as { readonly site?: string };
  if (code === 'NOT_PRIMARY' && site !== undefined) return `: its primary is ${site}`;
  return REMEDIES[code] ?? '';
}

/** The site did not accept the connection in time, or it did and then sent nothing. */
class SilenceError extends Error {
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

function unreachable(url: URL, error: NodeJS.ErrnoException): EvertreeError {
  const at = { url: url.origin };
  if (error instanceof SilenceError) return new EvertreeError('UNREACHABLE', `${url.origin} ${error.message}`, at, error);
  if (UNTRUSTED.has(error.code ?? '')) {
    const remedy = "name its authority's PEM file with --ca or EVERTREE_CA (or NODE_EXTRA_CA_CERTS)";
    return new EvertreeError('UNREACHABLE', `the certificate of ${url.origin} is not trusted (${error.code}); ${remedy}`, at, error);
  }
  const reason = error.code === 'ECONNREFUSED' ? 'nothing listens there' : error.message || String(error.code);
  const message = `no site answers at ${url.origin} (${reason}); start one, or name another with --url`;
  return new EvertreeError('UNREACHABLE', message, at, error);
}
