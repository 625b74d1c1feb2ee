import type { Dirent } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '@evertree/journal/files';
import type { DirectoryCalls } from './directory-calls.ts';
import { isObjectKey } from './object-key.ts';
import type { ListedObject } from './target.ts';

/** Below the target's directory: files on their way to become objects. */
export const SPARE_DIRECTORY = '.spare';

/** Reads the files of a target's directory. What others put there, under names that no key has, is left out. */
export class DirectoryWalk {
  readonly #directory: string;
  readonly #calls: Pick<DirectoryCalls, 'readdir' | 'stat'>;

  constructor(directory: string, calls: Pick<DirectoryCalls, 'readdir' | 'stat'>) {
    this.#directory = directory;
    this.#calls = calls;
  }

  /** In the order of the keys' bytes. */
  async *objects(prefix: string): AsyncIterable<ListedObject> {
    const above = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    yield* this.#below(above, prefix);
  }

  async *spares(): AsyncIterable<{ readonly path: string; readonly modified: number }> {
    for (const { name } of await this.#entries(SPARE_DIRECTORY)) {
      const path = join(this.#directory, SPARE_DIRECTORY, name);
      const found = await this.#stat(path);
      if (found !== undefined) yield { path, modified: found.mtimeMs };
    }
  }

  /** @param above the directory's name with `/` behind it, or nothing */
  async *#below(above: string, prefix: string): AsyncIterable<ListedObject> {
    const names = await Promise.all((await this.#entries(above)).map(entry => this.#nameOf(above, entry)));
    for (const name of names.toSorted(byBytes)) {
      const key = above + name;
      if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue;
      if (!isObjectKey(key.replace(/\/$/, ''))) continue;
      if (name.endsWith('/')) {
        yield* this.#below(key, prefix);
      } else {
        const found = key.startsWith(prefix) ? await this.#stat(join(this.#directory, key)) : undefined;
        if (found?.isFile() === true) yield { key, size: found.size, modified: Math.floor(found.mtimeMs) };
      }
    }
  }

  /** With `/` behind it if it is a directory; a link is what it leads to. */
  async #nameOf(above: string, entry: Dirent): Promise<string> {
    const isLink = entry.isSymbolicLink();
    const holds = isLink ? (await this.#stat(join(this.#directory, above, entry.name)))?.isDirectory() === true : entry.isDirectory();
    return holds ? `${entry.name}/` : entry.name;
  }

  /** Of a directory that may go while it is read. */
  async #entries(directory: string): Promise<Dirent[]> {
    try {
      return await this.#calls.readdir(join(this.#directory, directory), { withFileTypes: true });
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) return [];
      throw error;
    }
  }

  async #stat(path: string) {
    try {
      return await this.#calls.stat(path);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
