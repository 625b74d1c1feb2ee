import { createHash } from 'node:crypto';
import * as nodeFiles from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Clock, Random } from '@evertree/core';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { errorCode, isMissing, tryLock } from '@evertree/journal/files';
import type { DirectoryCalls } from './directory-calls.ts';
import { isThere, makeDirectories, markOf, removeFile, syncDirectory } from './directory-calls.ts';
import { directoryError, directoryMissing } from './directory-errors.ts';
import { DirectoryWalk, SPARE_DIRECTORY } from './directory-walk.ts';
import { assertObjectKey } from './object-key.ts';
import type { ListedObject, ObjectStat, Target, TargetObject } from './target.ts';
import { wait } from './waiting.ts';

export interface DirectoryTargetOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Makes the directory if it is missing. */
  readonly make?: boolean;
  readonly calls?: DirectoryCalls;
}

/** Held for the moment of a replacement; an empty SQLite file. */
const LOCK_FILE = '.lock';
const LOCK_WAIT_MS = 30_000;
const LOCK_RETRY_MS = 5;
/** Spare files that are older are of writers who died. No write of one object takes so long. */
const SPARE_AGE_MS = 24 * 3_600_000;
/** A directory that somebody removes each time before a file comes into it is given up. */
const PLACE_ATTEMPTS = 5;

/**
 * Objects as files. Each is written under a name of its own into `.spare/` and synced before it gets its name: by a
 * hard link, which fails if the name is taken, or by a rename under the lock.
 */
export class DirectoryTarget implements Target {
  readonly name: string;
  readonly #calls: DirectoryCalls;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #walk: DirectoryWalk;
  /** Which directory it is. Another one of the same name is an empty mount point, say. */
  #mark: string;

  private constructor(directory: string, mark: string, { clock, random, calls = nodeFiles }: DirectoryTargetOptions) {
    this.name = directory;
    this.#mark = mark;
    this.#clock = clock;
    this.#random = random;
    this.#calls = calls;
    this.#walk = new DirectoryWalk(directory, calls);
  }

  /** @throws EvertreeError NOT_FOUND, FORBIDDEN, STORAGE_FAILED */
  static async open(directory: string, options: DirectoryTargetOptions): Promise<DirectoryTarget> {
    const path = resolve(directory);
    const { calls = nodeFiles } = options;
    if (options.make === true) {
      try {
        await makeDirectories(calls, path);
      } catch (error) {
        if (errorCode(error) !== 'ENOTDIR') throw directoryError(path, 'making the directory', undefined, error);
      }
    }
    const target = new DirectoryTarget(path, await markOf(calls, path), options);
    await target.#removeSpares();
    return target;
  }

  async get(key: string): Promise<TargetObject | undefined> {
    return this.#read('reading', key, async path => new FileObject(await this.#calls.readFile(path)));
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    return this.#read('looking at', key, async path => {
      const found = await this.#calls.stat(path);
      return found.isFile() ? { size: found.size, modified: Math.floor(found.mtimeMs) } : undefined;
    });
  }

  create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#write('writing', key, (path, spare) => this.#inDirectory(path, () => this.#linkNew(spare, path)), bytes);
  }

  replace(key: string, bytes: Uint8Array, tag: string | undefined): Promise<{ readonly tag: string } | 'changed'> {
    const act = async (path: string, spare: string) => {
      using _ = await this.#lock();
      if ((await this.get(key))?.tag !== tag) return 'changed';
      await this.#inDirectory(path, () => this.#calls.rename(spare, path));
      return { tag: tagOf(bytes) };
    };
    return this.#write('replacing', key, act, bytes);
  }

  async remove(keys: readonly string[]): Promise<void> {
    const directories = new Set<string>();
    for (const key of keys) assertObjectKey(key);
    try {
      await this.#checkDirectory();
      for (const key of keys) {
        await removeFile(this.#calls, join(this.name, key));
        directories.add(dirname(join(this.name, key)));
      }
      for (const directory of directories) await this.#settleRemoval(directory);
    } catch (error) {
      throw directoryError(this.name, 'removing objects', undefined, error);
    }
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    try {
      await this.#checkDirectory();
      yield* this.#walk.objects(prefix);
    } catch (error) {
      throw directoryError(this.name, 'listing', prefix, error);
    }
  }

  /** The time that the file system writes into a new file; of a directory that can't be written, this machine's. */
  async now(): Promise<number> {
    const spare = this.#sparePath();
    try {
      await this.#writeSpare(spare, new Uint8Array());
      const { mtimeMs } = await this.#calls.stat(spare);
      await removeFile(this.#calls, spare);
      return Math.floor(mtimeMs);
    } catch (error) {
      const failure = directoryError(this.name, 'reading the time', undefined, error);
      if (isEvertreeError(failure, 'FORBIDDEN')) return this.#clock.now();
      throw failure;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #read<T>(action: string, key: string, act: (path: string) => Promise<T>): Promise<T | undefined> {
    assertObjectKey(key);
    try {
      return await act(join(this.name, key));
    } catch (error) {
      // ENOTDIR: an object has the first parts of this key. EISDIR: this key is the first parts of others.
      if (!['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errorCode(error))) throw directoryError(this.name, action, key, error);
    }
    await this.#checkDirectory();
    return undefined;
  }

  /** Lets `act` give the bytes, which lie in a file of no object, their name. */
  async #write<T>(action: string, key: string, act: (path: string, spare: string) => Promise<T>, bytes: Uint8Array): Promise<T> {
    assertObjectKey(key);
    const spare = this.#sparePath();
    try {
      await this.#checkDirectory();
      await this.#writeSpare(spare, bytes);
      try {
        return await act(join(this.name, key), spare);
      } finally {
        await removeFile(this.#calls, spare);
      }
    } catch (error) {
      throw directoryError(this.name, action, key, error);
    }
  }

  #sparePath(): string {
    return join(this.name, SPARE_DIRECTORY, Buffer.from(this.#random.bytes(12)).toString('hex'));
  }

  async #writeSpare(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#inDirectory(path, () => this.#calls.open(path, 'wx', 0o644), false);
    try {
      await file.writeFile(bytes);
      await file.sync();
      await file.close();
    } catch (error) {
      await file.close().catch(() => undefined);
      await removeFile(this.#calls, path).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Does what brings a file into its directory, and makes the directory where it is missing: whoever removes the last
   * object of one removes it.
   * @param durable the file's new name is synced
   */
  async #inDirectory<T>(path: string, act: () => Promise<T>, durable = true): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        const done = await act();
        if (durable) await syncDirectory(this.#calls, dirname(path));
        return done;
      } catch (error) {
        if (!isMissing(error) || attempt === PLACE_ATTEMPTS) throw error;
        await this.#checkDirectory();
        await makeDirectories(this.#calls, dirname(path));
      }
    }
  }

  async #linkNew(spare: string, path: string): Promise<'created' | 'exists'> {
    try {
      await this.#calls.link(spare, path);
      return 'created';
    } catch (error) {
      const code = errorCode(error);
      // A server of files may do it, lose its answer, and be asked again.
      if (code === 'EEXIST') return (await this.#calls.stat(spare)).nlink > 1 ? 'created' : 'exists';
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code)) throw error;
    }
    return this.#renameNew(spare, path);
  }

  /** Where a file system has no hard links. Everybody who writes there comes this way, so the lock is enough. */
  async #renameNew(spare: string, path: string): Promise<'created' | 'exists'> {
    using _ = await this.#lock();
    if (await isThere(this.#calls, path)) return 'exists';
    await this.#calls.rename(spare, path);
    return 'created';
  }

  async #lock(): Promise<Disposable> {
    const path = join(this.name, LOCK_FILE);
    const end = this.#clock.monotonic() + LOCK_WAIT_MS;
    for (;;) {
      const lock = tryLock(path);
      if (lock !== undefined) return lock;
      if (this.#clock.monotonic() > end) {
        const problem = `another process has held ${path} for ${LOCK_WAIT_MS / 1000} s`;
        throw new EvertreeError('DIRECTORY_IN_USE', `${problem}; end the program that is stalled there`, { target: this.name });
      }
      await wait(this.#clock, LOCK_RETRY_MS);
    }
  }

  /** Makes removals durable, and removes directories that they left empty. */
  async #settleRemoval(directory: string): Promise<void> {
    for (let path = directory; ; path = dirname(path)) {
      try {
        await syncDirectory(this.#calls, path);
        if (path === this.name) return;
        await this.#calls.rmdir(path);
      } catch (error) {
        const code = errorCode(error);
        if (code === 'ENOTEMPTY' || code === 'EEXIST') return;
        if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
      }
    }
  }

  /**
   * An archive whose disk is not mounted must not go on in the directory where it ought to be.
   * @throws EvertreeError NOT_FOUND
   */
  async #checkDirectory(): Promise<void> {
    const mark = await markOf(this.#calls, this.name);
    if (mark === this.#mark) return;
    if (!(await isThere(this.#calls, join(this.name, 'HEAD')))) {
      throw directoryMissing(this.name, 'was replaced by another one, which holds no archive');
    }
    this.#mark = mark;
  }

  /** Removes what writers left that died. Whoever may only read leaves it. */
  async #removeSpares(): Promise<void> {
    try {
      const before = this.#clock.now() - SPARE_AGE_MS;
      for await (const { path, modified } of this.#walk.spares()) if (modified < before) await removeFile(this.#calls, path);
    } catch (error) {
      const failure = directoryError(this.name, 'removing what dead writers left', undefined, error);
      if (!isEvertreeError(failure, 'FORBIDDEN')) throw failure;
    }
  }
}

class FileObject implements TargetObject {
  readonly bytes: Buffer;
  #tag: string | undefined;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Worked out when asked for: most objects are read for their bytes only. */
  get tag(): string {
    return (this.#tag ??= tagOf(this.bytes));
  }
}

function tagOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
