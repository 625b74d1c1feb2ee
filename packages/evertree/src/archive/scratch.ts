import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isEvertreeError } from '@evertree/core';
import { nodeDisk } from '@evertree/journal';
import { nodeClock } from '../site/machine.ts';

const NAME = /^evertree-drill-[0-9a-f]{16}(?:-unlocked)?$/;
/** Behind the name of a directory that its drill has not locked yet. */
const UNLOCKED = '-unlocked';
/** A drill locks its directory as soon as it has made it: one that is older was left by a drill that died before. */
const UNLOCKED_MS = 600_000;
/** What a drill puts into its directory; anything else is somebody's. */
const OWN_NAMES: ReadonlySet<string> = new Set(['lock', 'data']);
/** Another drill may try the lock meanwhile, which makes its file anew: what is not empty then is tried again. */
const REMOVE = { recursive: true, force: true, maxRetries: 5, retryDelay: 20 } as const;

/** A directory for one drill. Whoever is killed leaves it to the next drill in the same place, which removes it. */
export class Scratch implements AsyncDisposable {
  readonly directory: string;
  readonly #lock: AsyncDisposable;
  #keptAs: string | undefined;

  private constructor(directory: string, lock: AsyncDisposable) {
    this.directory = directory;
    this.#lock = lock;
  }

  /** Makes one, and removes what drills that died have left beside it. */
  static async make(place: string): Promise<Scratch> {
    await mkdir(place, { recursive: true });
    await clearDead(place);
    const name = `evertree-drill-${randomBytes(8).toString('hex')}`;
    // Another drill would take it for that of a dead one until it is locked.
    const unlocked = join(place, name + UNLOCKED);
    await mkdir(unlocked, { mode: 0o700 });
    const lock = await nodeDisk(unlocked).lock();
    const directory = join(place, name);
    await rename(unlocked, directory);
    return new Scratch(directory, lock);
  }

  /** Where the site is restored to. */
  get data(): string {
    return join(this.directory, 'data');
  }

  /** It stays, under another name, so that no drill takes it for that of a dead one. @returns that name */
  keep(): string {
    return (this.#keptAs ??= this.directory.replace(/drill-([0-9a-f]{16})$/, 'drilled-$1'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#keptAs === undefined) await rm(this.directory, REMOVE);
      else await rename(this.directory, this.#keptAs);
    } finally {
      await this.#lock[Symbol.asyncDispose]();
    }
  }
}

async function clearDead(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const directory = join(place, name);
    if (!NAME.test(name) || (await isAnothers(directory))) continue;
    try {
      await using _ = await nodeDisk(directory).lock();
      await rm(directory, REMOVE);
    } catch (error) {
      // Its drill is alive; or it is another user's.
      if (!isEvertreeError(error)) throw error;
    }
  }
}

/**
 * Others may write in the directory for temporary files, too: a link, or a directory of theirs, leads somewhere else. And a
 * drill may be just about to lock its own.
 */
async function isAnothers(directory: string): Promise<boolean> {
  try {
    const found = await lstat(directory);
    if (!found.isDirectory() || found.uid !== process.getuid?.()) return true;
    if (directory.endsWith(UNLOCKED) && nodeClock.now() - found.mtimeMs < UNLOCKED_MS) return true;
    return (await readdir(directory)).some(name => !OWN_NAMES.has(name));
  } catch {
    // It is no directory, can't be read, or has gone.
    return true;
  }
}
