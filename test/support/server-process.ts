import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';

/** Lines of a server's log that an error shows. */
const TAIL_LINES = 200;
const START_LIMIT_MS = 60_000;
const POLL_MS = 10;

/**
 * The shell becomes the program, and dies with the process that started it, even if that one is killed. If the pipe on
 * descriptor 3 ends without a line, that process is gone: the server is killed here, and its folder removed.
 */
const LEASH = 'folder=$1; shift; { read -r line <&3 || { kill -9 $$; rm -rf "$folder"; }; } >/dev/null 2>&1 & exec "$@" 3<&-';

export interface ServerStart {
  /** As errors name it: `Kafka broker`. */
  readonly name: string;
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** More of its environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** To be removed where nobody is left to do it. */
  readonly ownFolder: string | undefined;
}

/** The process of a real server that tests need, from its start until it ended. It dies with this process. */
export class ServerProcess {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #log = '';

  constructor({ name, command, environment = {}, ownFolder }: ServerStart) {
    const child = spawn('sh', ['-c', LEASH, 'sh', ownFolder ?? '', ...command], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    const leash = child.stdio[3] as net.Socket;
    leash.on('error', () => leash.destroy());
    this.#name = name;
    this.#child = child;
    // 'exit' may come before the last that it wrote has been read.
    const written = [child.stdout, child.stderr].map(async stream => {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
      if (stream !== null) await once(stream, 'close');
    });
    const exited = once(child, 'exit').finally(() => leash.end('\n'));
    this.#exited = Promise.all([exited, ...written]);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last lines of its log. */
  get log(): string {
    return this.#log;
  }

  /**
   * Resolves when it takes connections.
   *
   * @throws with its log when it ends before, or takes too long
   */
  async answers(port: number): Promise<void> {
    const deadline = performance.now() + START_LIMIT_MS;
    while (!(await takesConnections(port))) {
      if (!this.isRunning) throw new Error(`The ${this.#name} ended before it answered:\n${this.#log}`);
      if (performance.now() > deadline) throw new Error(`The ${this.#name} did not answer within ${START_LIMIT_MS} ms:\n${this.#log}`);
      await new Promise(resolve => setTimeout(resolve, POLL_MS));
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(signal);
  }

  /** Sends the signal and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.signal(signal);
    await this.#exited;
  }

  /** Resolves when it ended, by itself or not, and its log is whole. */
  async ended(): Promise<void> {
    await this.#exited;
  }

  #keep(text: string): void {
    this.#log = (this.#log + text).split('\n').slice(-TAIL_LINES).join('\n');
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
