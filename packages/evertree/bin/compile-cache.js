import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { enableCompileCache, getCompileCacheDir } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Versions of the program whose compiled code is kept, some 2 MB each. Others are removed when a new one comes. */
const KEPT_VERSIONS = 3;
const OTHERS_WRITE = 0o022;

/**
 * Keeps what was compiled once, which halves the start of a command. Where it can't be kept, as on a file system that
 * takes no writes, each start compiles anew. NODE_COMPILE_CACHE names another directory, NODE_DISABLE_COMPILE_CACHE=1
 * does without. Node's own choice is in the folder for temporary files, where another user may make it first: whoever
 * can write compiled code can change what runs.
 */
export function keepCompiledCode() {
  if (getCompileCacheDir() !== undefined) return;
  const directory = ownDirectory();
  if (directory !== undefined) enableCompileCache(directory);
}

/** A directory that this user alone can write to; undefined if there is none. */
function ownDirectory() {
  try {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    const place = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
    const all = join(place, 'evertree', 'compiled');
    const directory = join(all, version);
    // One by one: Node's recursive mkdir never returns on a file system that takes none, such as /proc.
    for (const each of [place, join(place, 'evertree'), all]) {
      make(each);
      // A link below the place could lead removeOld to anything. The place itself may be one, to another disk.
      if (!isOwned(each === place ? statSync(each) : lstatSync(each))) return undefined;
    }
    const isNew = make(directory);
    if ((statSync(all).mode & OTHERS_WRITE) !== 0) return undefined;
    if (isNew) removeOld(all, version);
    return directory;
  } catch {
    return undefined;
  }
}

/** With `sudo`, the place may be that of the user who called: nothing is made or removed there for root. */
function isOwned(stats) {
  return stats.isDirectory() && (process.getuid === undefined || stats.uid === process.getuid());
}

/** @returns whether it was not there */
function make(directory) {
  if (existsSync(directory)) return false;
  mkdirSync(directory, { mode: 0o700 });
  return true;
}

function removeOld(all, version) {
  const others = readdirSync(all).filter(name => name !== version);
  const byAge = others.map(name => ({ name, made: statSync(join(all, name)).ctimeMs })).toSorted((a, b) => b.made - a.made);
  for (const { name } of byAge.slice(KEPT_VERSIONS - 1)) rmSync(join(all, name), { recursive: true, force: true });
}
