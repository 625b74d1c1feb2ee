import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServerProcess } from '../server-process.ts';
import { freePort } from '../site-process.ts';
import { provideVersitygw } from './versitygw.ts';

/** What the server knows as its user, in the names in which AWS tools read it. */
export const S3_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: 'evertree',
  AWS_SECRET_ACCESS_KEY: 'evertree-secret',
  AWS_REGION: 'us-east-1',
} as const;

export interface S3Options {
  /** Any free one otherwise. */
  readonly port?: number;
  /** A folder that is kept, with the data of the run before; otherwise one of its own that goes with the server. */
  readonly data?: string;
  /** Is given a line when the start is going to take a while. */
  readonly tell?: (line: string) => void;
}

/** A real S3 server, versitygw, on a port and in a folder of its own. It dies with the process that started it. */
export interface S3Server extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
  /** Where the objects are: `<folder>/<bucket>/<key>` is the file of an object. */
  readonly folder: string;
  /** The last lines of its log, for a failing test. */
  readonly log: string;
  /** SIGKILL, at whatever instruction it is. Resolves when it is dead. */
  kill(): Promise<void>;
  stop(): Promise<void>;
  /** On the same folder and port; resolves when it takes connections. */
  restart(): Promise<void>;
  /** Resolves when it ended: killed, stopped, or by itself. */
  ended(): Promise<void>;
  /** Stops the process with its connections open, as in a long stall, until `thaw`. */
  freeze(): void;
  thaw(): void;
}

const START_ATTEMPTS = 3;

/**
 * Starts a server; resolves when it takes connections. The first start on a machine builds it.
 *
 * @throws with the remedy where there is no Go, and with the server's log when it does not come up
 */
export async function startS3(options: S3Options = {}): Promise<S3Server> {
  const program = await provideVersitygw(options.tell ?? (() => undefined));
  for (let attempt = 1; ; attempt += 1) {
    const ownFolder = options.data === undefined ? await mkdtemp(join(tmpdir(), 'evertree-s3-')) : undefined;
    const folder = options.data ?? ownFolder ?? '';
    await mkdir(folder, { recursive: true });
    const server = new VersityServer(program, folder, options.port ?? (await freePort()), ownFolder);
    try {
      await server.restart();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      // Another process may take a free port before the server does.
      const mayRetry = options.port === undefined && String(error).includes('address already in use');
      if (!mayRetry || attempt === START_ATTEMPTS) throw error;
    }
  }
}

/** Makes a bucket in the folder of a server: each directory there is one. */
export async function makeBucket({ folder }: Pick<S3Server, 'folder'>, bucket: string): Promise<string> {
  await mkdir(join(folder, bucket), { recursive: true });
  return bucket;
}

class VersityServer implements S3Server {
  readonly folder: string;
  readonly #program: string;
  readonly #port: number;
  /** To be removed in the end. */
  readonly #ownFolder: string | undefined;
  #process: ServerProcess | undefined;

  constructor(program: string, folder: string, port: number, ownFolder: string | undefined) {
    this.#program = program;
    this.folder = folder;
    this.#port = port;
    this.#ownFolder = ownFolder;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get log(): string {
    return this.#process?.log ?? '';
  }

  async restart(): Promise<void> {
    if (this.#process?.isRunning === true) throw new Error('This S3 server runs: kill or stop it before it is started again.');
    const { AWS_ACCESS_KEY_ID: access, AWS_SECRET_ACCESS_KEY: secret, AWS_REGION: region } = S3_ENVIRONMENT;
    const options = ['--access', access, '--secret', secret, '--region', region, '--port', `127.0.0.1:${this.#port}`, '--keep-alive'];
    this.#process = new ServerProcess({
      name: 'S3 server',
      command: [this.#program, ...options, 'posix', this.folder],
      ownFolder: this.#ownFolder,
    });
    await this.#process.answers(this.#port);
  }

  async kill(): Promise<void> {
    await this.#process?.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#process?.end('SIGTERM');
  }

  async ended(): Promise<void> {
    await this.#process?.ended();
  }

  freeze(): void {
    this.#process?.signal('SIGSTOP');
  }

  thaw(): void {
    this.#process?.signal('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    if (this.#ownFolder !== undefined) await rm(this.#ownFolder, { recursive: true, force: true });
  }
}
