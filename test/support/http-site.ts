import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { Store, type Clock, type Journal, type Report } from '@evertree/core';
import { Producer } from '@evertree/producer';
import { MemoryJournal } from '@evertree/journal';
import { startHttp, type HttpOptions, type HttpServer } from '../../packages/evertree/src/http/server.ts';
import type { Part, PrimaryPart } from '../../packages/evertree/src/roles/part.ts';
import { Site } from '../../packages/evertree/src/site/site.ts';
import { systemClock, systemRandom } from './host.ts';
import { collectReports } from './reports.ts';

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Of a JSON body; undefined for any other. */
  readonly json: unknown;
}

/** What `EventSource` would hand out. */
export interface WatchEvent {
  readonly event: string;
  /** The last id that was sent, with this event or before it. */
  readonly id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface HttpSiteOptions extends Partial<Omit<HttpOptions, 'site'>> {
  /** Closed at the end; one is made of `store` unless given. */
  readonly site?: Site;
  /** One in memory unless given. */
  readonly store?: Store;
  /** Of a store that is made here. */
  readonly journal?: Journal;
  /** Of a store that is made here. */
  readonly clock?: Clock;
  /** What the site plays from the start on; nothing unless given. Not opened yet. */
  readonly part?: Part;
  /** What a write waits for that does not say so itself. */
  readonly acknowledgement?: PrimaryPart['acknowledgement'];
}

/** A site with its HTTP interface, in this process. */
export class HttpSite implements AsyncDisposable {
  readonly site: Site;
  readonly server: HttpServer;
  readonly url: URL;
  readonly reports: readonly Report[];
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(site: Site, server: HttpServer, reports: readonly Report[]) {
    this.site = site;
    this.server = server;
    this.url = new URL(server.address);
    this.reports = reports;
  }

  static async start(options: HttpSiteOptions = {}): Promise<HttpSite> {
    const { reports, report } = collectReports();
    const { journal, clock = systemClock, site: given, part: wanted, acknowledgement, ...http } = options;
    const host = { clock, random: systemRandom, report };
    const openStore = () => Store.open({ ...host, journal: journal ?? new MemoryJournal(host) });
    const site = given ?? new Site(options.store ?? (await openStore()));
    const part = wanted ?? (acknowledgement && feedingNobody(site.store, acknowledgement));
    if (part !== undefined) await site.play(part);
    const server = await startHttp({ address: '127.0.0.1', port: 0, report, version: '0.0.0', ...http, site });
    return new HttpSite(site, server, reports);
  }

  get store(): Store {
    return this.site.store;
  }

  /** Sends a target as it is: `fetch` would collapse its dots. */
  async send(method: string, target: string, { headers = {}, body }: SendOptions = {}): Promise<Answer> {
    // Node frames a body by itself only for some methods.
    const length: Record<string, string> =
      body === undefined || 'Transfer-Encoding' in headers ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
    const { hostname: host, port } = this.url;
    const request = httpRequest({ agent: this.#agent, host, port, method, path: target, headers: { ...length, ...headers } });
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    request.end(body);
    const [response] = await answered;
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const isJson = /[/+]json/.test(response.headers['content-type'] ?? '') && text !== '';
    return { status: response.statusCode ?? 0, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
  }

  put(target: string, value: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.send('PUT', target, { headers, body: JSON.stringify(value) });
  }

  async get(target: string, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const answer = await this.send('GET', target, { headers });
    if (answer.status !== 200) throw new Error(`GET ${target.slice(0, 80)} answered ${answer.status}: ${answer.text.slice(0, 500)}`);
    return answer.json;
  }

  async watch(target: string, headers: Readonly<Record<string, string>> = {}): Promise<Watching> {
    const request = httpRequest({ host: this.url.hostname, port: this.url.port, path: target, headers });
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    request.end();
    const [response] = await answered;
    return new Watching(response);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.server.close();
    await this.site.close();
  }
}

function feedingNobody(store: Store, acknowledgement: PrimaryPart['acknowledgement']): Part {
  return { role: 'primary', producer: new Producer({ store, transports: [] }), acknowledgement };
}

/** A client that watches. */
export class Watching implements Disposable {
  readonly response: IncomingMessage;
  readonly #events: AsyncGenerator<WatchEvent, void>;
  /** The last id that was sent, also without an event. */
  lastId = '';

  constructor(response: IncomingMessage) {
    this.response = response;
    this.#events = this.#read();
  }

  /** The next event. Throws when the stream ends before one comes. */
  async next(): Promise<WatchEvent> {
    const { value } = await this.#events.next();
    if (value === undefined) throw new Error('the stream has ended');
    return value;
  }

  /** Whether the stream has ended in order, with no further event. */
  async ended(): Promise<boolean> {
    return (await this.#events.next()).done === true;
  }

  [Symbol.dispose](): void {
    this.response.destroy();
  }

  async *#read(): AsyncGenerator<WatchEvent, void> {
    let rest = '';
    for await (const chunk of this.response.setEncoding('utf8')) {
      const blocks = (rest + (chunk as string)).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const fields = new Map(block.split('\n').map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
        this.lastId = fields.get('id') ?? this.lastId;
        const data = fields.get('data');
        if (data !== undefined) yield { event: fields.get('event') ?? '', id: this.lastId, data: JSON.parse(data) };
      }
    }
  }
}

/** Waits until `condition` holds. Throws when it does not within `withinMs`. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${withinMs} ms for: ${condition.toString()}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
