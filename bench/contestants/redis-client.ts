import { type Socket, connect } from 'node:net';
import { until } from '../clock.ts';

/** Commands in one write of a pipeline, and how many may be unanswered. */
const CHUNK_COMMANDS = 256;
const WINDOW_COMMANDS = 8_192;
const NEWLINE = 10;

export function command(...parts: readonly (string | number)[]): string {
  let text = `*${parts.length}\r\n`;
  for (const part of parts) text += `$${Buffer.byteLength(String(part))}\r\n${part}\r\n`;
  return text;
}

/** One connection to a Redis server. */
export class RedisClient {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async connect(port: number): Promise<RedisClient> {
    let socket: Socket | undefined;
    await until(`redis-server listens on ${port}`, async () => {
      socket = await attempt(port);
      return socket !== undefined;
    });
    return new RedisClient(socket!);
  }

  /** Sends one command and gives its answer as text, without its type. */
  async ask(...parts: readonly (string | number)[]): Promise<string | null> {
    let text = '';
    const { promise, resolve, reject } = Promise.withResolvers<string | null>();
    const onData = (data: Buffer): void => {
      text += data.toString('latin1');
      const answer = parseAnswer(text);
      if (answer === undefined) return;
      this.#socket.off('data', onData);
      if (answer.isError) reject(new Error(`redis: ${answer.text}`));
      else resolve(answer.text);
    };
    this.#socket.on('data', onData);
    this.#socket.write(command(...parts));
    return promise;
  }

  /**
   * Sends commands of which each is answered by one line, a window of them unanswered; resolves when all are answered.
   */
  async pipeline(chunks: readonly Buffer[], count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let next = 0;
    let sent = 0;
    let answered = 0;
    const pump = (): void => {
      for (; next < chunks.length && sent - answered < WINDOW_COMMANDS; next++) {
        this.#socket.write(chunks[next]!);
        sent = Math.min(count, sent + CHUNK_COMMANDS);
      }
    };
    const onData = (data: Buffer): void => {
      for (const byte of data) if (byte === NEWLINE) answered++;
      if (answered < count) return pump();
      this.#socket.off('data', onData);
      resolve();
    };
    this.#socket.on('data', onData);
    pump();
    await promise;
  }

  /** Writes without reading answers. */
  send(text: string): void {
    this.#socket.write(text);
  }

  /** Everything that arrives from now on. */
  onText(listener: (text: string) => void): Disposable {
    const onData = (data: Buffer): void => listener(data.toString('latin1'));
    this.#socket.on('data', onData);
    return { [Symbol.dispose]: () => void this.#socket.off('data', onData) };
  }

  close(): void {
    this.#socket.destroy();
  }
}

function attempt(port: number): Promise<Socket | undefined> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
    // The handler stays: a server that is killed at the end resets its connections.
    socket.on('error', () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}

/** Encodes commands for `pipeline`, before anything is timed. */
export function encode(commands: Iterable<string>): Buffer[] {
  const chunks: Buffer[] = [];
  let text = '';
  let count = 0;
  for (const each of commands) {
    text += each;
    if (++count % CHUNK_COMMANDS !== 0) continue;
    chunks.push(Buffer.from(text));
    text = '';
  }
  if (text !== '') chunks.push(Buffer.from(text));
  return chunks;
}

function parseAnswer(text: string): { readonly text: string | null; readonly isError: boolean } | undefined {
  const end = text.indexOf('\r\n');
  if (end < 0) return undefined;
  const head = text.slice(1, end);
  if (text[0] !== '$') return { text: head, isError: text[0] === '-' };
  const length = Number(head);
  if (length < 0) return { text: null, isError: false };
  return text.length >= end + 4 + length ? { text: text.slice(end + 2, end + 2 + length), isError: false } : undefined;
}
