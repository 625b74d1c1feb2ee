import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { sign } from './signature.ts';

/** What the service, or the network before it, does with a request. */
export type S3FaultKind =
  /** It is answered with `status` and `code`, and does nothing. */
  | 'refuse'
  /** The connection is cut before the request arrives. */
  | 'cut'
  /** The request vanishes: no answer ever comes. */
  | 'stall'
  /** It takes effect, and the connection is cut before the answer. */
  | 'lose-answer'
  /** It takes effect, and no answer ever comes. */
  | 'stall-answer'
  /** Half of the answer's body comes, then the connection is cut. */
  | 'cut-body'
  /** Half of the answer's body comes, then nothing more. */
  | 'stall-body'
  /** It answers that all is well, and does nothing: as a service that keeps what it was told to remove. */
  | 'pretend'
  /** It is answered by somebody else, such as a hotel's network. */
  | 'page';

export interface S3Fault {
  readonly kind: S3FaultKind;
  readonly method?: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Only where path and query match. */
  readonly target?: RegExp;
  /** Lets so many matching requests through first. */
  readonly after?: number;
  /** How many times; without it, every time. */
  readonly times?: number;
  /** For `refuse`: 503 and `SlowDown` if they are left out. */
  readonly status?: number;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Stands before an S3 server, as a network and a service that fail. It listens on a port of its own. */
export interface S3FaultProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** What came: `PUT /bucket/key`, in order. */
  readonly requests: readonly string[];
  /** Plants a fault until it is disposed of. */
  fail(fault: S3Fault): Disposable;
  /** The service takes conditions and heeds none of them. */
  ignoreConditions(ignores: boolean): void;
  /** The service's clock is ahead by so much; it refuses what is signed more than 15 minutes off. */
  setSkew(skewMs: number): void;
  /** No request is answered before the returned function was called. */
  hold(): () => void;
  close(): Promise<void>;
}

const SIGNED_WITHIN_MS = 15 * 60_000;

/** Starts a proxy before the server at `endpoint`. */
export async function startFaultProxy(endpoint: string): Promise<S3FaultProxy> {
  const proxy = new FaultProxy(new URL(endpoint));
  await proxy.listen();
  return proxy;
}

class FaultProxy implements S3FaultProxy {
  readonly requests: string[] = [];
  readonly #server: http.Server;
  readonly #upstream: URL;
  readonly #agent = new http.Agent({ keepAlive: true });
  #faults: (S3Fault & { skips: number; left: number })[] = [];
  #ignoresConditions = false;
  #skewMs = 0;
  #held: Promise<void> = Promise.resolve();

  constructor(upstream: URL) {
    this.#upstream = upstream;
    this.#server = http.createServer((request, response) => {
      this.#handle(request, response).catch(() => request.socket.destroy());
    });
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  fail(fault: S3Fault): Disposable {
    const entry = { ...fault, skips: fault.after ?? 0, left: fault.times ?? Infinity };
    this.#faults.push(entry);
    return { [Symbol.dispose]: () => void (this.#faults = this.#faults.filter(other => other !== entry)) };
  }

  ignoreConditions(ignores: boolean): void {
    this.#ignoresConditions = ignores;
  }

  setSkew(skewMs: number): void {
    this.#skewMs = skewMs;
  }

  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return resolve;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    this.requests.push(`${method} ${url}`);
    const body = await readAll(request);
    await this.#held;
    const fault = this.#takeFault(method, url);
    switch (fault?.kind) {
      case 'stall':
        return;
      case 'cut':
        request.socket.destroy();
        return;
      case 'pretend':
        response.writeHead(method === 'DELETE' ? 204 : 200, { date: this.#date(), etag: '"pretended"' });
        response.end(method === 'POST' ? '<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>' : '');
        return;
      case 'page':
        response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><p>Sign in to go on.</p>');
        return;
      case 'refuse':
        this.#refuse(response, method, fault.status ?? 503, fault.code ?? 'SlowDown', fault.headers);
        return;
      default:
        break;
    }
    if (this.#isTooSkewed(request)) {
      this.#refuse(response, method, 403, 'RequestTimeTooSkewed');
      return;
    }
    const answer = await this.#forward(request, body);
    this.#answer(fault?.kind, request, response, answer);
  }

  #answer(kind: S3FaultKind | undefined, request: http.IncomingMessage, response: http.ServerResponse, answer: Answer): void {
    if (kind === 'stall-answer') return;
    if (kind === 'lose-answer') {
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status, { ...answer.headers, date: this.#date() });
    if (kind !== 'cut-body' && kind !== 'stall-body') {
      response.end(answer.body);
      return;
    }
    const half = answer.body.subarray(0, Math.floor(answer.body.length / 2));
    response.write(half, () => {
      if (kind === 'cut-body') request.socket.destroy();
    });
  }

  #refuse(
    response: http.ServerResponse,
    method: string,
    status: number,
    code: string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    response.writeHead(status, { 'content-type': 'application/xml', date: this.#date(), ...headers });
    const text = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>planted: ${code}</Message></Error>`;
    response.end(method === 'HEAD' ? '' : text);
  }

  async #forward(request: http.IncomingMessage, body: Buffer): Promise<Answer> {
    const { method = '', url = '' } = request;
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(request.headers)) if (typeof value === 'string') headers[name] = value;
    if (this.#ignoresConditions || this.#skewMs !== 0) {
      for (const name of ['authorization', 'x-amz-security-token']) delete headers[name];
      if (this.#ignoresConditions) for (const name of ['if-match', 'if-none-match']) delete headers[name];
      sign({ method, target: url, headers }, new Date());
    }
    const { hostname, port } = this.#upstream;
    const upstream = http.request({ hostname, port, method, path: url, headers, agent: this.#agent });
    upstream.end(body);
    const [answer] = (await once(upstream, 'response')) as [http.IncomingMessage];
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: await readAll(answer) };
  }

  #isTooSkewed(request: http.IncomingMessage): boolean {
    const written = String(request.headers['x-amz-date'] ?? '');
    const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(written) ?? [];
    const signedMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
    return Math.abs(signedMs - (Date.now() + this.#skewMs)) > SIGNED_WITHIN_MS;
  }

  #date(): string {
    return new Date(Date.now() + this.#skewMs).toUTCString();
  }

  #takeFault(method: string, target: string): S3Fault | undefined {
    for (const entry of this.#faults) {
      if (entry.method !== undefined && entry.method !== method) continue;
      if (entry.target !== undefined && !entry.target.test(target)) continue;
      if (entry.left <= 0 || entry.skips-- > 0) continue;
      entry.left--;
      return entry;
    }
    return undefined;
  }
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
