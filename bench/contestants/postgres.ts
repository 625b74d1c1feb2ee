import { execFile, execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Shape, leavesOf } from '../shape.ts';
import { freePort } from './free-port.ts';

const run = promisify(execFile);

/** Where Debian keeps what is not on the PATH. */
const BINARIES = '/usr/lib/postgresql/15/bin';
export const POSTGRES_MISSING = 'PostgreSQL 15 is not here (Debian: apt-get install postgresql-15)';
/** Rows that are changed through the trigger; the others are put into the history by one statement. */
const BY_TRIGGER = 10_000;
const WARM_UP = 500;
const PAGE_ROWS = 100;

/** The path of the leaf with a number, as `shape.ts` makes it. */
export const LEAF_PATH = `'devices/dev-' || lpad((:n / 100)::text, 6, '0') || '/interfaces/eth' || (:n / 10 % 10)::text || '/field' || (:n % 10)::text`;

const SCHEMA = `
  CREATE TABLE leaf (path text PRIMARY KEY, value bigint NOT NULL, revision bigint NOT NULL);
  CREATE TABLE leaf_history (path text NOT NULL, revision bigint NOT NULL, value bigint NOT NULL, at timestamptz NOT NULL);
  CREATE SEQUENCE revision;
  CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    NEW.revision := nextval('revision');
    INSERT INTO leaf_history VALUES (NEW.path, NEW.revision, NEW.value, now());
    RETURN NEW;
  END $$;
  CREATE TRIGGER keep BEFORE INSERT OR UPDATE ON leaf FOR EACH ROW EXECUTE FUNCTION keep();`;

export function postgresVersion(): string | undefined {
  try {
    return /\d+\.\d+/.exec(execFileSync(postgresBinary('postgres'), ['--version'], { encoding: 'utf8' }))?.[0];
  } catch {
    // PostgreSQL is not installed: the row says so.
    return undefined;
  }
}

export function postgresBinary(name: string): string {
  const path = join(BINARIES, name);
  return existsSync(path) ? path : name;
}

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** A PostgreSQL server with a temporal table: a trigger keeps each version of a row, and an index finds them. */
export class Postgres implements AsyncDisposable {
  readonly #directory: string;
  readonly #port: number;
  /** It refuses to run as root. */
  readonly #owner: SystemUser | undefined;

  private constructor(directory: string, port: number, owner: SystemUser | undefined) {
    this.#directory = directory;
    this.#port = port;
    this.#owner = owner;
  }

  /** @param data the folder in which it makes its own; its user has to be able to enter it */
  static async start(data: string): Promise<Postgres> {
    const directory = mkdtempSync(join(data, 'evertree-bench-postgres-'));
    const owner = ownerOfServers();
    if (owner !== undefined) chownSync(directory, owner.uid, owner.gid);
    const server = new Postgres(directory, await freePort(), owner);
    try {
      await server.#run('initdb', ['-D', join(directory, 'data'), '-U', 'bench', '-A', 'trust', '--no-sync']);
      const options = `-p ${server.#port} -k ${directory} -c listen_addresses='' -c shared_buffers=512MB -c max_wal_size=8GB -c maintenance_work_mem=512MB`;
      await server.#run('pg_ctl', ['-D', join(directory, 'data'), '-l', join(directory, 'log'), '-w', '-o', options, 'start']);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
    return server;
  }

  /**
   * Makes so many versions of the leaves. @returns microseconds that a change through the trigger took, each in one
   * statement of its own
   */
  async fill(shape: Shape, changes: number): Promise<number> {
    const leaves = leavesOf(shape);
    await this.sql(SCHEMA);
    const path = LEAF_PATH.replaceAll(':n', 'n');
    await this.sql(`INSERT INTO leaf SELECT ${path}, n, 0 FROM generate_series(0, ${leaves - 1}) AS n`);
    await this.sql(`INSERT INTO leaf_history SELECT ${path}, nextval('revision'), i, now()
      FROM (SELECT i, floor(random() * ${leaves})::bigint AS n FROM generate_series(1, ${changes - leaves - BY_TRIGGER}) AS i) AS picked`);
    await this.sql('CREATE INDEX by_path ON leaf_history (path, revision)');
    await this.sql('VACUUM ANALYZE');
    const script = `\\set n random(0, ${leaves - 1})\nUPDATE leaf SET value = value + 1 WHERE path = ${LEAF_PATH};\n`;
    const took = await this.#bench(script, BY_TRIGGER);
    await this.sql('VACUUM ANALYZE');
    await this.sql('CHECKPOINT');
    return (took.reduce((sum, each) => sum + each, 0) * 1e3) / took.length;
  }

  /** Milliseconds that each answer took: a leaf, as it was at some revision. */
  async readLeaves(shape: Shape, changes: number, count: number): Promise<number[]> {
    return this.#ask(shape, changes, count, 1, 'value');
  }

  async readPages(shape: Shape, changes: number, count: number): Promise<number[]> {
    return this.#ask(shape, changes, count, PAGE_ROWS, 'revision, at, value');
  }

  /** Bytes of table and index of the versions, for one of them. */
  async bytesAChange(): Promise<{ readonly table: number; readonly index: number }> {
    const rows = await this.sql(
      "SELECT pg_table_size('leaf_history')::float / count(*), pg_relation_size('by_path')::float / count(*) FROM leaf_history",
    );
    const [table, index] = rows.split('|').map(Number);
    return { table: table!, index: index! };
  }

  async sql(text: string): Promise<string> {
    return (
      await this.#run('psql', [...this.#connection, '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', 'postgres', '-c', text])
    ).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run('pg_ctl', ['-D', join(this.#directory, 'data'), '-m', 'immediate', '-w', 'stop']);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #connection(): string[] {
    return ['-h', this.#directory, '-p', String(this.#port), '-U', 'bench'];
  }

  async #ask(shape: Shape, changes: number, count: number, limit: number, columns: string): Promise<number[]> {
    const script = `\\set n random(0, ${leavesOf(shape) - 1})\n\\set r random(${leavesOf(shape)}, ${changes})
      SELECT ${columns} FROM leaf_history WHERE path = ${LEAF_PATH} AND revision <= :r ORDER BY revision DESC LIMIT ${limit};\n`;
    return (await this.#bench(script, count + WARM_UP)).slice(WARM_UP);
  }

  /** Runs a script so many times over one connection, prepared. @returns milliseconds of each, the first ones first */
  async #bench(script: string, count: number): Promise<number[]> {
    const file = join(this.#directory, 'script.sql');
    const prefix = join(this.#directory, 'latency');
    writeFileSync(file, script);
    const options = ['-n', '-M', 'prepared', '-c', '1', '-t', String(count), '-l', `--log-prefix=${prefix}`, '-f', file];
    await this.#run('pgbench', [...this.#connection, ...options, 'postgres']);
    const logs = readdirSync(this.#directory).filter(name => name.startsWith('latency'));
    // Client, number, time in microseconds, and others.
    const took = logs
      .flatMap(log => readFileSync(join(this.#directory, log), 'utf8').trim().split('\n'))
      .map(line => Number(line.split(' ')[2]) / 1e3);
    for (const log of logs) rmSync(join(this.#directory, log));
    return took;
  }

  async #run(name: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run(postgresBinary(name), [...args], { ...this.#owner, cwd: this.#directory, maxBuffer: 1024 ** 3 });
    return stdout;
  }
}

/** Who runs a server: it refuses to run as root. */
export function ownerOfServers(): SystemUser | undefined {
  return userInfo().uid === 0 ? idsOf('postgres') : undefined;
}

function idsOf(user: string): SystemUser {
  const [uid, gid] = ['-u', '-g'].map(flag => Number(execFileSync('id', [flag, user], { encoding: 'utf8' })));
  return { uid: uid!, gid: gid! };
}
