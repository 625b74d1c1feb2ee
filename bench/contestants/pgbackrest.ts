import { execFile, execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { now } from '../clock.ts';
import { type Shape, leavesOf } from '../shape.ts';
import { freePort } from './free-port.ts';
import { LEAF_PATH, ownerOfServers, postgresBinary, type SystemUser } from './postgres.ts';

const run = promisify(execFile);

export const PGBACKREST_MISSING = 'pgBackRest is not here (Debian: apt-get install pgbackrest postgresql-15)';
const STANZA = 'bench';
const POINT = 'moment';
/** Changes of one transaction: fewer would only make PostgreSQL slower. */
const ROWS_A_TRANSACTION = 1_000;
const POLL_MS = 5;

export function pgbackrestVersion(): string | undefined {
  try {
    return /\d+\.\d+/.exec(execFileSync('pgbackrest', ['version'], { encoding: 'utf8' }))?.[0];
  } catch {
    // It is not installed: the row says so.
    return undefined;
  }
}

/** PostgreSQL with pgBackRest as their manuals have it: a full backup, and every segment of the log archived after it. */
export class ArchivedPostgres implements AsyncDisposable {
  readonly #directory: string;
  readonly #owner: SystemUser | undefined;
  #restores = 0;

  private constructor(directory: string, owner: SystemUser | undefined) {
    this.#directory = directory;
    this.#owner = owner;
  }

  /** Fills it, backs it up, changes it, names the moment, changes it again, and stops it. */
  static async make(data: string, shape: Shape, changes: number, later: number): Promise<ArchivedPostgres> {
    const directory = mkdtempSync(join(data, 'evertree-bench-pgbackrest-'));
    const owner = ownerOfServers();
    const archived = new ArchivedPostgres(directory, owner);
    try {
      for (const folder of ['', 'repo', 'log', 'lock']) {
        const path = join(directory, folder);
        if (!existsSync(path)) mkdirSync(path);
        if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
      }
      archived.#writeSettings();
      await archived.#fill(shape, changes, later);
    } catch (error) {
      await archived[Symbol.asyncDispose]();
      throw error;
    }
    return archived;
  }

  /** Restores the named moment into a new directory. @returns milliseconds until the server takes writes */
  async restore(): Promise<number> {
    const place = join(this.#directory, `restored-${this.#restores++}`);
    mkdirSync(place, { mode: 0o700 });
    if (this.#owner !== undefined) chownSync(place, this.#owner.uid, this.#owner.gid);
    const port = await freePort();
    const began = now();
    await this.#backrest(`--pg1-path=${place}`, '--type=name', `--target=${POINT}`, '--target-action=promote', 'restore');
    await this.#start(place, port);
    for (;;) {
      const inRecovery = await this.#sql(port, 'SELECT pg_is_in_recovery()').catch(() => 't');
      if (inRecovery === 'f') break;
      await pause(POLL_MS);
    }
    await this.#sql(port, 'UPDATE leaf SET value = 0 WHERE n = 0');
    const tookMs = now() - began;
    await this.#stop(place);
    rmSync(place, { recursive: true, force: true });
    return tookMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #fill(shape: Shape, changes: number, later: number): Promise<void> {
    const place = join(this.#directory, 'data');
    const port = await freePort();
    const leaves = leavesOf(shape);
    await this.#run(postgresBinary('initdb'), ['-D', place, '-U', 'bench', '-A', 'trust', '--no-sync']);
    this.#configure(place);
    await this.#start(place, port);
    try {
      await this.#backrest(`--pg1-port=${port}`, 'stanza-create');
      await this.#sql(port, 'CREATE TABLE leaf (n bigint PRIMARY KEY, path text NOT NULL, value bigint NOT NULL)');
      await this.#sql(port, `INSERT INTO leaf SELECT n, ${LEAF_PATH.replaceAll(':n', 'n')}, 0 FROM generate_series(0, ${leaves - 1}) AS n`);
      await this.#sql(port, 'VACUUM ANALYZE leaf');
      await this.#backrest(`--pg1-port=${port}`, '--type=full', 'backup');
      await this.#change(port, leaves, changes);
      await this.#sql(port, `SELECT pg_create_restore_point('${POINT}')`);
      await this.#change(port, leaves, later);
      await this.#sql(port, 'SELECT pg_switch_wal()');
    } finally {
      // The server archives what is left before it ends.
      await this.#stop(place);
    }
    rmSync(place, { recursive: true, force: true });
  }

  /** Any rows, so many in a transaction. */
  async #change(port: number, leaves: number, changes: number): Promise<void> {
    const statement = `UPDATE leaf SET value = value + 1 WHERE n IN (SELECT floor(random() * ${leaves})::bigint FROM generate_series(1, ${ROWS_A_TRANSACTION}))`;
    const rounds = Math.ceil(changes / ROWS_A_TRANSACTION);
    await this.#sql(port, `DO $$ BEGIN FOR i IN 1..${rounds} LOOP ${statement}; COMMIT; END LOOP; END $$`);
  }

  #configure(place: string): void {
    const archive = `pgbackrest --config=${this.#settings} --stanza=${STANZA} archive-push %p`;
    const lines = [
      "listen_addresses = ''",
      `unix_socket_directories = '${this.#directory}'`,
      'shared_buffers = 512MB',
      'max_wal_size = 8GB',
      'wal_level = replica',
      'archive_mode = on',
      `archive_command = '${archive}'`,
    ];
    writeFileSync(join(place, 'postgresql.auto.conf'), `${lines.join('\n')}\n`);
  }

  get #settings(): string {
    return join(this.#directory, 'pgbackrest.conf');
  }

  /** What its manual begins with; compressed as ours is. */
  #writeSettings(): void {
    const folder = (name: string) => join(this.#directory, name);
    const lines = [
      '[global]',
      `repo1-path=${folder('repo')}`,
      `log-path=${folder('log')}`,
      `lock-path=${folder('lock')}`,
      'log-level-console=error',
      'log-level-file=off',
      'compress-type=zst',
      'start-fast=y',
      `process-max=${cpus().length}`,
      `[${STANZA}]`,
      `pg1-path=${folder('data')}`,
      `pg1-socket-path=${this.#directory}`,
      'pg1-user=bench',
      'pg1-database=postgres',
    ];
    writeFileSync(this.#settings, `${lines.join('\n')}\n`, { mode: 0o644 });
  }

  async #backrest(...args: readonly string[]): Promise<void> {
    await this.#run('pgbackrest', [`--config=${this.#settings}`, `--stanza=${STANZA}`, ...args]);
  }

  async #start(place: string, port: number): Promise<void> {
    const log = join(this.#directory, 'server.log');
    await this.#run(postgresBinary('pg_ctl'), ['-D', place, '-l', log, '-w', '-t', '300', '-o', `-p ${port}`, 'start']);
  }

  async #stop(place: string): Promise<void> {
    await this.#run(postgresBinary('pg_ctl'), ['-D', place, '-m', 'fast', '-w', '-t', '300', 'stop']);
  }

  async #sql(port: number, text: string): Promise<string> {
    const connection = ['-h', this.#directory, '-p', String(port), '-U', 'bench', '-d', 'postgres'];
    return (await this.#run(postgresBinary('psql'), [...connection, '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', text])).trim();
  }

  async #run(command: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run(command, [...args], { ...this.#owner, cwd: this.#directory, maxBuffer: 1024 ** 3 });
    return stdout;
  }
}
