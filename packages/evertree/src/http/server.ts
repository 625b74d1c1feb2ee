import { once } from 'node:events';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type AccessToken,
  BearerTokens,
  BoundedReports,
  EvertreeError,
  type Reporter,
  formatAddress,
  isLoopback,
  presentTokens,
  isEvertreeError,
} from '@evertree/core';
import { HistoryQueries } from '@evertree/history';
import type { Tls } from '../configuration/credentials.ts';
import { createServer, nodeHttps } from '../node-http.ts';
import { checkHost, loopbackAccess, tokenAccess, type Access } from './access.ts';
import { WriteAdmission } from './admission.ts';
import { Bodies, discardBody } from './body.ts';
import type { Site } from '../site/site.ts';
import { SiteStore } from '../site/store.ts';
import type { HttpContext } from './context.ts';
import { DeferredMetrics } from './deferred-metrics.ts';
import { DigestPins } from './digests.ts';
import { EVENT_STREAM_TYPE } from './event-stream.ts';
import { Exchange, sendProblem } from './exchange.ts';
import { checkExpectation } from './headers.ts';
import { HEAD_BYTES, resolveLimits, type HttpLimits } from './limits.ts';
import { answerable, ClientGone, isExpected, problemOf, RequestError, type RequestCode } from './problem.ts';
import { checkRight, dispatch, refuseAdministration, Routes, type Route } from './routes.ts';
import { Slots } from './slots.ts';
import { Stability } from './stability.ts';
import { parseTarget } from './target.ts';
import { Turns } from './turns.ts';
import { Watches } from './watch.ts';

export interface HttpOptions {
  /** The server does not close it. */
  readonly site: Site;
  readonly address: string;
  /** 0 for any that is free. */
  readonly port: number;
  /**
   * The token that has all rights. Without any token the server listens on loopback only. Tokens are read at each
   * request, and the certificate at each connection: they may change while it runs.
   */
  readonly token?: string | undefined;
  readonly tokens?: readonly AccessToken[] | undefined;
  /** Beyond loopback: PEM texts, or `off` said aloud. Whether there is TLS is settled at the start. */
  readonly tls?: Tls | undefined;
  /** False: what needs the right "admin" is refused, whoever asks. */
  readonly administrable?: boolean;
  readonly limits?: Partial<HttpLimits> | undefined;
  readonly report: Reporter;
  /** The program's own version, for `/status`. */
  readonly version: string;
}

export interface HttpServer {
  /** `http://127.0.0.1:8181` */
  readonly address: string;
  /** Takes no more requests, ends watches, and lets what is under way finish within `limits.closeMs`. Idempotent. */
  close(): Promise<void>;
}

/**
 * Listens, and answers as interface.md says.
 * @throws EvertreeError CONFIGURATION_INVALID for an address that is open without token or TLS, UNREACHABLE for one
 *   that can't be
 *   listened on
 */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  checkExposure(options);
  const http = new Http(options);
  return { address: await http.listen(), close: () => http.close() };
}

function checkExposure({ address, token, tokens, tls }: HttpOptions): void {
  if (isLoopback(address)) return;
  const missing =
    token === undefined && tokens === undefined ? 'a token ("auth")' : tls === undefined ? '"tls", or "tls": "off"' : undefined;
  if (missing === undefined) return;
  throw new EvertreeError('CONFIGURATION_INVALID', `HTTP on ${address} can be reached from elsewhere, and so needs ${missing}`, {
    address,
  });
}

const NO_TOKENS = new BearerTokens({ tokens: [] });

class Http {
  readonly #options: HttpOptions;
  readonly #limits: HttpLimits;
  readonly #server: Server;
  readonly #tokens: () => BearerTokens | undefined;
  readonly #loopback: Access;
  readonly #context: HttpContext;
  readonly #metrics: DeferredMetrics;
  readonly #digests = new DigestPins();
  readonly #routes: Routes;
  readonly #closing = new AbortController();
  readonly #dropped: BoundedReports;
  #closed: Promise<void> | undefined;

  constructor(options: HttpOptions) {
    const { site, version, report } = options;
    const limits = resolveLimits(options.limits);
    const turns = new Turns(site.store.clock);
    const watches = new Watches(turns);
    const admission = new WriteAdmission(site.store, limits, () => site.switching !== undefined);
    this.#options = options;
    this.#limits = limits;
    this.#server = createNodeServer(options, limits);
    this.#tokens = presentTokens(options);
    this.#loopback = loopbackAccess(() => String(this.#port));
    this.#context = {
      site,
      store: site.store,
      version,
      report,
      limits,
      questions: new Slots(limits.pastQuestions, 'questions about the past'),
      streams: new Slots(limits.watches, 'watches'),
      history: site.store instanceof SiteStore ? site.store.questions : new HistoryQueries({ store: site.store }),
      stability: new Stability(site.store),
      admission,
      bodies: new Bodies(limits, turns),
      turns,
      closing: this.#closing.signal,
    };
    this.#dropped = new BoundedReports(site.store.clock, report, (count, seconds) => ({
      level: 'warn',
      event: 'http-connection-dropped',
      message: `${count} more HTTP connections were dropped within ${seconds} s`,
      details: { count },
    }));
    this.#metrics = new DeferredMetrics(site, admission, () => this.#context.streams.count);
    this.#routes = new Routes(watches, this.#digests, this.#metrics);
  }

  async listen(): Promise<string> {
    const { address, port, tls } = this.#options;
    const server = this.#server;
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, onRequest);
    server.on('clientError', answerBrokenRequest);
    server.on('drop', () => {
      const message = `${this.#limits.connections} HTTP connections are open, the limit; one more was dropped`;
      this.#dropped.tell({ level: 'warn', event: 'http-connection-dropped', message });
    });
    try {
      server.listen(port, address);
      await once(server, 'listening');
    } catch (error) {
      this.#dispose();
      throw cannotListen(address, port, error as NodeJS.ErrnoException);
    }
    // It goes on listening; without a listener this error would end the process.
    server.on('error', error => {
      const message = `an HTTP connection could not be accepted: ${error.message}`;
      this.#dropped.tell({ level: 'warn', event: 'http-connection-dropped', message, details: { error } });
    });
    return `${tls === undefined || tls === 'off' ? 'http' : 'https'}://${formatAddress(address, this.#port)}`;
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#shut());
  }

  async #shut(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#closing.abort();
    this.#server.close();
    const patience = setTimeout(() => this.#server.closeAllConnections(), this.#limits.closeMs);
    await closed;
    clearTimeout(patience);
    this.#dispose();
  }

  #dispose(): void {
    this.#digests[Symbol.dispose]();
    this.#context.stability[Symbol.dispose]();
    this.#dropped[Symbol.dispose]();
    this.#metrics[Symbol.dispose]();
  }

  get #access(): Access {
    const tokens = this.#tokens();
    if (tokens !== undefined) return tokenAccess(tokens);
    // A site refuses a reload that takes the tokens away where others can reach it. Should one be taken over, nobody gets in.
    return isLoopback(this.#options.address) ? this.#loopback : tokenAccess(NO_TOKENS);
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? this.#options.port;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const began = performance.now();
    let route: Route | undefined;
    let exchange: Exchange | undefined;
    try {
      if (response.socket === null) await inTurn(request, response);
      const target = parseTarget(request.url ?? '');
      route = this.#routes.find(target.path);
      this.#watchAnswer(request, response, route, began);
      checkHost(request);
      if (this.#options.administrable === false && route !== undefined) refuseAdministration(route, request.method);
      const bearer = route?.open === true ? undefined : this.#access.check(request, target.authority);
      if (bearer !== undefined && route !== undefined) checkRight(route, request.method, bearer);
      checkExpectation(request.headers);
      exchange = new Exchange(this.#context, request, response, { target, bearer });
      await dispatch(route, exchange);
    } catch (cause) {
      const error = answerable(cause);
      this.#reportFault(request, route, cause, error);
      if (error instanceof ClientGone) response.destroy();
      else if (exchange === undefined) sendProblem(response, error);
      else exchange.refuse(error);
    }
    discardBody(request, this.#limits.discardBytes);
  }

  /**
   * Measures the answer, cuts a client that doesn't take its end, and ends a kept connection when the server closes.
   */
  #watchAnswer(request: IncomingMessage, response: ServerResponse, route: Route | undefined, began: number): void {
    let stalled: NodeJS.Timeout | undefined;
    response.once('prefinish', () => {
      // An answer to a client that has gone ends, too, and nothing would clear the timer.
      if (response.closed) return;
      stalled = setTimeout(() => response.destroy(), this.#limits.stallMs);
    });
    response.once('close', () => {
      clearTimeout(stalled);
      if (this.#closing.signal.aborted) this.#server.closeIdleConnections();
      // How long a stream of events lasts says nothing of how soon it was answered.
      if (route?.name === '/watch' || response.getHeader('content-type') === EVENT_STREAM_TYPE) return;
      this.#metrics.answered(request.method ?? '', route?.name ?? 'none', response.statusCode, (performance.now() - began) / 1000);
    });
  }

  /** @param error what is answered for the cause */
  #reportFault(request: IncomingMessage, route: Route | undefined, cause: unknown, error: unknown): void {
    if (isExpected(cause) || error instanceof ClientGone || isEvertreeError(error, 'STORAGE_FULL')) return;
    const whose = isExpected(error) ? '' : ' inside the program';
    const message = `${request.method} ${route?.name ?? ''} failed${whose}: ${error instanceof Error ? error.message : String(error)}`;
    this.#options.report({ level: 'error', event: 'http-request-failed', message, details: { error } });
  }
}

/**
 * Waits until earlier requests of the same connection are answered. RFC 9112, 9.3.2: requests that a client sends
 * without waiting may run side by side only if none of them changes anything. A write with a large body would be
 * overtaken by the next one.
 * @throws ClientGone when the connection ends before
 */
async function inTurn({ socket }: IncomingMessage, response: ServerResponse): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onClose = (): void => reject(new ClientGone());
  if (socket.destroyed) throw new ClientGone();
  response.once('socket', () => resolve());
  socket.once('close', onClose);
  await promise.finally(() => socket.off('close', onClose));
}

function createNodeServer(site: HttpOptions, limits: HttpLimits): Server {
  const { tls } = site;
  const options = {
    maxHeaderSize: HEAD_BYTES,
    headersTimeout: limits.headMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(1_000, limits.headMs),
    noDelay: true,
  };
  const server = tls === undefined || tls === 'off' ? createServer(options) : createTlsServer(site, tls, options);
  server.maxConnections = limits.connections;
  return server;
}

/** Each new connection gets the certificate that the site has by then; those that are open keep theirs. */
function createTlsServer(site: HttpOptions, tls: Exclude<Tls, 'off'>, options: ServerOptions): Server {
  const server = nodeHttps().createServer({ ...options, cert: tls.certificate, key: tls.key });
  let known = tls;
  // Before the listener of Node, which begins the handshake.
  return server.prependListener('connection', () => {
    const { tls: present } = site;
    if (present === undefined || present === 'off' || present === known) return;
    known = present;
    server.setSecureContext({ cert: present.certificate, key: present.key });
  });
}

/** What is not HTTP, or too slow: there is no response object to answer with. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const code = BROKEN_REQUESTS[error.code ?? ''] ?? 'REQUEST_INVALID';
  const problem = problemOf(
    new RequestError(
      code,
      `the request could not be read: ${error.message}${error.code === 'HPE_INVALID_URL' ? '; percent-encode it' : ''}`,
    ),
  );
  const body = JSON.stringify(problem);
  const head = `HTTP/1.1 ${problem.status} ${problem.title}\r\nContent-Type: application/problem+json\r\n`;
  socket.end(`${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}

const BROKEN_REQUESTS: Readonly<Record<string, RequestCode>> = {
  HPE_HEADER_OVERFLOW: 'HEAD_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
};

function cannotListen(address: string, port: number, cause: NodeJS.ErrnoException): EvertreeError {
  const reason =
    cause.code === 'EADDRINUSE'
      ? 'something else listens there; choose another with --http HOST:PORT'
      : `${cause.message}; check the address`;
  return new EvertreeError('UNREACHABLE', `HTTP can't listen on ${address}, port ${port}: ${reason}`, { address, port }, cause);
}
