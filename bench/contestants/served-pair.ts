import { type IncomingMessage, request as sendRequest } from 'node:http';
import { join } from 'node:path';
import { until } from '../clock.ts';
import type { Shape } from '../shape.ts';
import type { Stalls } from '../site/stalls.ts';
import type { ServedTasks } from '../site/served-tasks.ts';
import { Worker } from '../worker.ts';
import { freePort } from './free-port.ts';
import { type Wire, webSocketWire } from './wires.ts';

const CHILD = new URL('../site/served-child.ts', import.meta.url);
const HOST = '127.0.0.1';
/** Of an answer, for who wants to read it. */
const KEPT_CHARACTERS = 64 * 1024;
/** Small, so that a snapshot leaves little before it, and a new secondary gets the whole tree. */
const SEGMENT_BYTES = 1024 * 1024;

export interface Sent {
  readonly type?: string;
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answered {
  readonly status: number;
  /** The beginning of the answer. */
  readonly text: string;
  readonly bytes: number;
}

/** How long each site was held while something was done. */
export interface Holds {
  readonly primary: Stalls;
  readonly secondary: Stalls;
}

/** A site that answers over HTTP, in a process of its own. */
export class ServedSite {
  readonly process: Worker<ServedTasks>;
  readonly #port: number;

  constructor(port: number, flags: readonly string[]) {
    this.process = new Worker<ServedTasks>(CHILD, flags);
    this.#port = port;
  }

  get port(): number {
    return this.#port;
  }

  /** Sends a request, and reads all of its answer. */
  async request(method: string, path: string, sent: Sent = {}): Promise<Answered> {
    const response = await this.#send(method, path, sent);
    let text = '';
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (text.length < KEPT_CHARACTERS) text += chunk.toString('latin1');
      bytes += chunk.length;
    }
    return { status: response.statusCode ?? 0, text, bytes };
  }

  /** Opens an answer without an end, and reads what comes of it until it is disposed. */
  async watch(path: string): Promise<Watcher> {
    return new Watcher(await this.#send('GET', path, {}));
  }

  #send(method: string, path: string, { type, body, headers }: Sent): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = sendRequest({
        host: HOST,
        port: this.#port,
        method,
        path,
        agent: false,
        headers: {
          ...headers,
          ...(type === undefined ? {} : { 'content-type': type }),
          ...(body === undefined ? {} : { 'content-length': body.length }),
        },
      });
      sent.on('response', resolve);
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

/** A client that reads Server-Sent Events and counts them; the first one says how soon to come back. */
export class Watcher implements Disposable {
  readonly #response: IncomingMessage;
  events = 0;
  #last = '';

  constructor(response: IncomingMessage) {
    this.#response = response;
    response.setEncoding('latin1');
    response.on('error', () => undefined);
    response.on('data', (chunk: string) => {
      // The blank line that ends an event may come in two chunks.
      const text = this.#last + chunk;
      for (let end = text.indexOf(END); end >= 0; end = text.indexOf(END, end + END.length)) this.events++;
      this.#last = chunk.endsWith(END) || !chunk.endsWith('\n') ? '' : '\n';
    });
  }

  [Symbol.dispose](): void {
    this.#response.destroy();
  }
}

const END = '\n\n';

/** A primary and a secondary that answer over HTTP, each a process with a directory of its own. */
export class ServedPair {
  readonly primary: ServedSite;
  secondary: ServedSite;
  readonly #directory: string;
  readonly #wire: Wire;
  readonly #flags: readonly string[];
  #secondaries = 0;

  private constructor(directory: string, wire: Wire, sites: readonly [ServedSite, ServedSite], flags: readonly string[]) {
    this.#directory = directory;
    this.#wire = wire;
    [this.primary, this.secondary] = sites;
    this.#flags = flags;
  }

  /** @param flags Node's own */
  static async start(directory: string, shape: Shape, flags: readonly string[] = []): Promise<ServedPair> {
    const sites = [new ServedSite(await freePort(), flags), new ServedSite(await freePort(), flags)] as const;
    const pair = new ServedPair(directory, webSocketWire(await freePort()), sites, flags);
    const data = join(directory, 'primary');
    const options = { data, primary: pair.#wire.primary, role: 'primary', journal: { segmentBytes: SEGMENT_BYTES } } as const;
    await pair.primary.process.call('open', options, pair.primary.port);
    await pair.primary.process.call('fill', shape);
    await pair.#openSecondary();
    await pair.equal();
    return pair;
  }

  /** Another secondary takes the place of the one that there is, with an empty directory. */
  async replaceSecondary(): Promise<void> {
    await this.secondary.process.kill();
    this.secondary = new ServedSite(await freePort(), this.#flags);
    await this.secondary.process.call('watchStalls');
    await this.#openSecondary();
    await this.equal();
  }

  /** Does something while commits of one leaf go on. */
  async writeMeanwhile(shape: Shape, perSecond: number, run: () => Promise<void>): Promise<void> {
    await this.primary.process.call('startWriting', shape, perSecond);
    await run();
    await this.primary.process.call('stopWriting');
  }

  /** Waits until both hold the same, durably, and checks that their digests agree. */
  async equal(): Promise<void> {
    const { position, digest } = await this.primary.process.call('state');
    await until('the secondary holds what the primary holds', async () => {
      const { stable } = await this.secondary.process.call('state');
      return stable.revision >= position.revision;
    });
    const theirs = await this.secondary.process.call('state');
    if (theirs.digest !== digest) throw new Error(`the trees differ at ${position.revision}: ${digest} and ${theirs.digest}`);
  }

  /** Does something, waits until the secondary holds what came of it, and tells how long either site was held. */
  async held(run: () => Promise<void>): Promise<Holds> {
    await this.#settled();
    await this.primary.process.call('watchStalls');
    await this.secondary.process.call('watchStalls');
    await run();
    await this.equal();
    return { primary: await this.primary.process.call('stalls'), secondary: await this.secondary.process.call('stalls') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.primary.process.kill();
    await this.secondary.process.kill();
  }

  /** Waits until both hold the same, and the index of each covers it: what went before is at work no longer. */
  async #settled(): Promise<void> {
    await this.equal();
    await this.primary.process.call('indexed');
    await this.secondary.process.call('indexed');
  }

  async #openSecondary(): Promise<void> {
    const data = join(this.#directory, `secondary-${this.#secondaries++}`);
    await this.secondary.process.call('open', { data, standby: this.#wire.secondary, role: 'secondary' }, this.secondary.port);
  }
}
