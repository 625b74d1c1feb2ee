import { readdirSync } from 'node:fs';

const UNFINISHED_FILE = 'unfinished.json';
/** What a replay or a restore that was interrupted leaves in its directory; anything else is somebody's. */
const OWN_NAMES: ReadonlySet<string> = new Set(['lock', UNFINISHED_FILE, `${UNFINISHED_FILE}.tmp`, 'journal', 'snapshots', 'lost+found']);
/** What else it leaves if it ends right before its end. Without `unfinished.json` it is a site's. */
const LAST_NAMES: ReadonlySet<string> = new Set(['site.json', 'site.json.tmp']);

/** A name in an existing directory that keeps a replay or a restore from writing there; undefined if there is none. */
export function findForeign(directory: string): string | undefined {
  const names = readdirSync(directory);
  const goesOn = names.includes(UNFINISHED_FILE);
  return names.find(name => !OWN_NAMES.has(name) && !(goesOn && LAST_NAMES.has(name)));
}

/** Whether something is under way in a directory, which can be gone on with. */
export function isUnfinished(directory: string): boolean {
  return readdirSync(directory).includes(UNFINISHED_FILE);
}
