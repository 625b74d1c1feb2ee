import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { EvertreeError, type Path, formatPath } from '@evertree/core';
import { nodeHttps, request as requestHttp } from '../node-http.ts';
import { SilenceError, SiteAnswer, primaryOf, unreachable } from './site-answer.ts';

/** The longest path of a URL that is sent; longer pointers go into the query, which proxies leave as it is. */
const URL_PATH_LIMIT_CHARACTERS = 8 * 1024;
/** How long a site may be silent by default. */
export const DEFAULT_TIMEOUT_MS = 10_000;
/** A longer body waits until the site asks for it (`100 Continue`): a refusal then costs no upload. */
const LONG_BODY_CHARACTERS = 1024 * 1024;
/** After this time the body is sent without `100 Continue`: a proxy may not have passed it on. */
const EXPECT_LIMIT_MS = 2_000;
/** Sites that one request may be sent on to: more means that the sites do not agree who is the primary. */
const FOLLOW_LIMIT = 5;
/** What a site may take to say that it lives. */
const PROBE_LIMIT_MS = 2_000;

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
  /** Whether a site that is not the primary, and names the primary's address, is left for that one. */
  readonly follow?: boolean;
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
 *
 * It takes no answer of an epoch below one that it has seen: a site that answers so has lost its role, and does not
 * know it yet.
 */
export class SiteClient {
  readonly #settings: ClientSettings;
  readonly #timeoutMs: number;
  /** The site that is asked: the one that was given until a primary's address was followed. */
  #url: URL;
  /** The highest epoch of an answer, and who gave it. */
  #seen: { readonly epoch: number; readonly origin: string } = { epoch: 0, origin: '' };

  constructor(url: URL, settings: ClientSettings = {}) {
    this.#url = url;
    this.#settings = settings;
    this.#timeoutMs = settings.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  get url(): URL {
    return this.#url;
  }

  get follows(): boolean {
    return this.#settings.follow === true;
  }

  /**
   * @param target path and query under the site's URL, already encoded
   * @throws EvertreeError UNREACHABLE, or what the site answered; FENCED for an answer of an epoch below one that was
   *   seen; the signal's reason once that is aborted
   */
  async request(target: string, options: RequestOptions = {}): Promise<SiteAnswer> {
    for (let followed = 0; ; followed++) {
      const answer = await this.#ask(target, options);
      if (answer.isGood) {
        this.#see(answer);
        return answer;
      }
      const error = await answer.refusal();
      const primary = this.follows ? primaryOf(answer, error) : undefined;
      if (primary === undefined) throw error;
      if (followed === FOLLOW_LIMIT) throw tooManyFollowed(error, primary);
      this.goTo(primary);
    }
  }

  /**
   * Asks another site from now on.
   * @throws EvertreeError FORBIDDEN when that would send what went encrypted so far, the token too, in the clear
   */
  goTo(address: URL): void {
    if (this.#url.protocol === 'https:' && address.protocol !== 'https:') {
      const message = `${this.#url.origin} names ${address.origin} as the primary, which is not encrypted; name it with --url if that is meant`;
      throw new EvertreeError('FORBIDDEN', message, { url: address.origin });
    }
    this.#url = address;
  }

  async json(target: string, options: RequestOptions = {}): Promise<unknown> {
    return (await this.request(target, options)).json();
  }

  async write(target: string, options: RequestOptions): Promise<WriteAnswer> {
    // The site may wait for secondaries as long as its configuration says. Giving up would leave the outcome unknown.
    return (await this.json(target, { ...options, patient: true })) as WriteAnswer;
  }

  async #ask(target: string, options: RequestOptions): Promise<SiteAnswer> {
    const url = new URL(this.#url.pathname.replace(/\/$/, '') + target, this.#url);
    const message = await this.#send(url, options);
    return new SiteAnswer(message, this.#url, options.silenceMs ?? this.#timeoutMs);
  }

  /** @throws EvertreeError FENCED */
  #see(answer: SiteAnswer): void {
    const epoch = answer.position?.epoch;
    // An answer about the past names the moment that it is about, which may lie in any earlier epoch.
    if (epoch === undefined || answer.header('evertree-time') !== undefined) return;
    const { origin } = this.#url;
    if (epoch >= this.#seen.epoch) {
      this.#seen = { epoch, origin };
      return;
    }
    answer.discard();
    const message =
      `${origin} answered from epoch ${epoch}, and ${this.#seen.origin} has answered from epoch ${this.#seen.epoch} before: ` +
      'another site has become the primary since, and what this one says does not count; ask that one';
    throw new EvertreeError('FENCED', message, { url: origin, epoch, seen: this.#seen.epoch });
  }

  async #send(url: URL, options: RequestOptions): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request = this.#open(url, options);
    const changes = options.method !== undefined;
    let isConnected = false;
    let isAnswered = false;
    request.once('socket', (socket: Socket) => socket.once('connect', () => (isConnected = true)));
    request.once('response', message => {
      isAnswered = true;
      resolve(message);
    });
    request.on('error', reject);
    request.on('timeout', () => {
      const expire = () => void request.destroy(new SilenceError(isConnected, this.#timeoutMs, changes));
      const goOn = (lives: boolean) => void (lives ? request.setTimeout(this.#timeoutMs) : expire());
      if (!isConnected || options.patient !== true) expire();
      // If the answer came meanwhile, whoever reads it heeds its silence.
      else void this.#lives().then(lives => isAnswered || goOn(lives));
    });
    sendBody(request, options.body);
    try {
      const message = await promise;
      request.setTimeout(0);
      return message;
    } catch (error) {
      if (options.signal?.aborted === true) throw options.signal.reason;
      throw unreachable(this.#url, error as NodeJS.ErrnoException, changes);
    }
  }

  #open(url: URL, { method = 'GET', headers, body, signal }: RequestOptions): ClientRequest {
    const { token, authority } = this.#settings;
    const request = url.protocol === 'https:' ? nodeHttps().request : requestHttp;
    return request(url, {
      method,
      agent: false,
      timeout: this.#timeoutMs,
      headers: {
        ...headers,
        ...(this.#seen.epoch === 0 ? {} : { 'Evertree-Seen-Epoch': String(this.#seen.epoch) }),
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
      await new SiteClient(this.#url, { ...this.#settings, timeoutMs: Math.min(this.#timeoutMs, PROBE_LIMIT_MS) }).request('/healthz');
      return true;
    } catch (error) {
      return error instanceof EvertreeError && error.code !== 'UNREACHABLE';
    }
  }
}

/** The target of a path: `/data/a/b`, or `/data?pointer=…` for what URL parsers would alter or that is very long. */
export function targetOf(resource: 'data' | 'watch', path: Path, parameters: QueryParameters = {}): string {
  const pointer = formatPath(path);
  const encoded = pointer.split('/').map(encodeURIComponent).join('/');
  const altered = path.some(segment => segment === '.' || segment === '..');
  if (!altered && encoded.length <= URL_PATH_LIMIT_CHARACTERS) return `/${resource}${encoded}${queryOf(parameters)}`;
  return `/${resource}${queryOf({ pointer, ...parameters })}`;
}

/** The parameters of a target; those that are undefined are left out. */
export type QueryParameters = Readonly<Record<string, string | number | boolean | undefined>>;

/** `?name=value&…`, or nothing where there is no parameter. */
export function queryOf(parameters: QueryParameters): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return given.length === 0 ? '' : `?${given.map(([name, value]) => `${name}=${encodeURIComponent(value!)}`).join('&')}`;
}

function tooManyFollowed({ code, details, message }: EvertreeError, { origin }: URL): EvertreeError {
  const more = `${FOLLOW_LIMIT} sites were asked, and each named another one as the primary, ${origin} last; try again when they agree`;
  return new EvertreeError(code, `${message}; ${more}`, details);
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
