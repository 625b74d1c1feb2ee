import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';

/** Lines of the broker's log that an error shows. */
const TAIL_LINES = 40;
const START_LIMIT_MS = 60_000;
const POLL_MS = 10;

/**
 * The shell becomes the program, and dies with the process that started it, even if that one is killed. If the pipe on
 * descriptor 3 ends without a line, that process is gone: the broker is killed here, and its folder removed.
 */
const LEASH = 'folder=$1; shift; { read -r line <&3 || { kill -9 $$; rm -rf "$folder"; }; } >/dev/null 2>&1 & exec "$@" 3<&-';

/**
 * What every start has in common: small, quick to warm up, nothing left behind in the machine's folder for temporary
 * files.
 */
const JVM_OPTIONS = [
  '-Xmx512m',
  '-XX:TieredStopAtLevel=1',
  '-XX:-UsePerfData',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
  '-Dorg.slf4j.simpleLogger.showDateTime=true',
  '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
];

export interface BrokerStart {
  readonly classPath: string;
  readonly jvmOptions: readonly string[];
  /** The file of server properties. */
  readonly properties: string;
  /** To be removed where nobody is left to do it. */
  readonly ownFolder: string | undefined;
}

/** A broker's process, from its start until it ended. */
export class BrokerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #log = '';

  constructor({ classPath, jvmOptions, properties, ownFolder }: BrokerStart) {
    const java = ['java', ...JVM_OPTIONS, ...jvmOptions, '-cp', classPath, 'kafka.Kafka', properties];
    const child = spawn('sh', ['-c', LEASH, 'sh', ownFolder ?? '', ...java], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    const leash = child.stdio[3] as net.Socket;
    leash.on('error', () => leash.destroy());
    this.#child = child;
    this.#exited = once(child, 'exit').finally(() => leash.end('\n'));
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
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
   * Resolves when it takes connections, which it does only once it may lead partitions.
   *
   * @throws with its log when it ends before, or takes too long
   */
  async answers(port: number): Promise<void> {
    const deadline = performance.now() + START_LIMIT_MS;
    while (!(await takesConnections(port))) {
      if (!this.isRunning) throw new Error(`The Kafka broker ended before it answered:\n${this.#log}`);
      if (performance.now() > deadline) throw new Error(`The Kafka broker did not answer within ${START_LIMIT_MS} ms:\n${this.#log}`);
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

  /** Resolves when it ended, by itself or not. */
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
