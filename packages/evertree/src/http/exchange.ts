import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Bearer, formatPosition, type Path, type Position } from '@evertree/core';
import type { Moment } from '@evertree/history';
import type { ReadBody } from './body.ts';
import type { HttpContext } from './context.ts';
import { ClientGone, isExpected, problemOf, RequestError } from './problem.ts';
import { type RequestTarget, refuseOtherParameters } from './target.ts';

/** One request and its answer. */
export class Exchange {
  readonly context: HttpContext;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: RequestTarget;
  #ended: AbortSignal | undefined;
  /** Who asks; undefined where the site asks for no token. */
  readonly bearer: Bearer | undefined;

  constructor(
    context: HttpContext,
    request: IncomingMessage,
    response: ServerResponse,
    { target, bearer }: Pick<Exchange, 'target' | 'bearer'>,
  ) {
    this.context = context;
    this.request = request;
    this.response = response;
    this.target = target;
    this.bearer = bearer;
  }

  /** Reads the body as JSON. `at`: the path at which the value will stand, for errors. See Bodies.readJson. */
  readJson(at: Path = []): Promise<unknown> {
    return this.context.bodies.readJson(this.request, this.response, at);
  }

  /** As readJson, with what a large one's reader knows about it. See Bodies.read. */
  readBody<T>(at: Path, use: (body: ReadBody) => Promise<T>): Promise<T> {
    return this.context.bodies.read(this.request, this.response, at, use);
  }

  /** Whether this request asks for no body in the answer. */
  get headOnly(): boolean {
    return this.request.method === 'HEAD';
  }

  /** Aborted when the answer is over, the client goes away, or the server closes: long work ends then. */
  get ended(): AbortSignal {
    if (this.#ended !== undefined) return this.#ended;
    const over = new AbortController();
    this.response.once('close', () => over.abort());
    if (this.response.destroyed) over.abort();
    return (this.#ended = AbortSignal.any([over.signal, this.context.closing]));
  }

  /** Refuses query parameters. @throws RequestError REQUEST_INVALID */
  refuseParameters(): void {
    refuseOtherParameters(this.target, []);
  }

  answer(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    sendJson(this.response, status, 'application/json', body, headers);
  }

  /** Answers with JSON that is bytes already, as fast as the client takes them. @throws ClientGone */
  async answerPieces(json: readonly Buffer[], headers: Readonly<Record<string, string>>): Promise<void> {
    const length = json.reduce((sum, piece) => sum + piece.length, 0);
    this.response.writeHead(200, { ...jsonHeaders('application/json', length), ...headers });
    for (const piece of this.headOnly ? [] : json) {
      await this.write(piece);
      await this.context.turns.breathe();
    }
    this.response.end();
  }

  /** Answers with a problem and `members` beside it. A write that came to a secondary is told who its primary is. */
  refuse(error: unknown, members: Readonly<Record<string, unknown>> = {}): void {
    const isElsewhere = isExpected(error) && (error.code === 'NOT_PRIMARY' || error.code === 'FENCED');
    const primary = isElsewhere && !(error instanceof RequestError) ? primaryOf(this.context) : undefined;
    sendProblem(this.response, error, primary === undefined ? members : { ...members, primary });
  }

  /**
   * Sends text, or its bytes, by bounded steps. @throws ClientGone when the client went away or takes nothing for too
   * long
   */
  async write(text: string | Uint8Array): Promise<void> {
    const { response } = this;
    if (response.destroyed) throw new ClientGone();
    if (!response.write(text)) await this.#drained();
  }

  #drained(): Promise<void> {
    const { response } = this;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onClose = (): void => reject(new ClientGone());
    const stalled = setTimeout(() => response.destroy(), this.context.limits.stallMs);
    response.once('drain', resolve).once('close', onClose);
    return promise.finally(() => {
      clearTimeout(stalled);
      response.off('drain', resolve).off('close', onClose);
    });
  }
}

/** What a secondary knows of its primary: where it is, and how far it has come at least. */
function primaryOf({ site, store }: HttpContext): object | undefined {
  const primary = site.consumer?.state.primary;
  if (primary === undefined || primary === null) return undefined;
  const { epoch, revision } = store.stable.position;
  return { ...primary, epoch: Math.max(primary.epoch, epoch), position: { epoch, revision } };
}

export function positionHeader(position: Position): Record<string, string> {
  return { 'Evertree-Position': formatPosition(position) };
}

/** Which moment an answer about the past took. */
export function momentHeaders({ position, time, taken }: Moment): Record<string, string> {
  return {
    ...positionHeader(position),
    'Evertree-Time': new Date(time).toISOString(),
    'Evertree-Taken': taken.replaceAll(NOT_PLAIN, encodeURIComponent),
  };
}

/** What a header does not carry as it is, and the sign of an encoding. */
const NOT_PLAIN = /[^ -$&-~]/gu;

/**
 * Answers with application/problem+json; an answer that has begun is cut instead, so that the client sees that it is
 * not whole.
 */
export function sendProblem(response: ServerResponse, error: unknown, members: Readonly<Record<string, unknown>> = {}): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const problem = problemOf(error);
  const headers = error instanceof RequestError ? error.headers : {};
  sendJson(response, problem.status, 'application/problem+json', { ...problem, ...members }, headers);
}

function sendJson(response: ServerResponse, status: number, type: string, body: unknown, headers: Readonly<Record<string, string>>): void {
  const text = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, { ...jsonHeaders(type, text.length), ...headers });
  response.end(text);
}

function jsonHeaders(type: string, length: number): Record<string, string | number> {
  return { 'Content-Type': type, 'Content-Length': length, 'Cache-Control': 'no-store' };
}
