import type { Stats } from 'node:fs';

// Stands apart from the configuration's documents, so that commands which only talk to a site need not load them.

export const PEM_FILE_LIMIT_BYTES = 1024 * 1024;
export const TOKEN_FILE_LIMIT_BYTES = 4 * 1024;

const OTHERS_READ = 0o004;
const GROUP_READS = 0o040;

/**
 * Who else can read a secret, and how to mend that, as it reads after the file's name; undefined if nobody can. The
 * rule is that of PostgreSQL for its keys: a file of root may be open to its group, as that is how a service gets a
 * secret that it can't change.
 */
export function exposureOf({ mode, uid }: Pick<Stats, 'mode' | 'uid'>, path: string): string | undefined {
  if (process.platform === 'win32') return undefined;
  const readers =
    (mode & OTHERS_READ) !== 0 ? 'every user of this machine' : (mode & GROUP_READS) !== 0 && uid !== 0 ? 'its group' : undefined;
  if (readers === undefined) return undefined;
  return `can be read by ${readers} (mode ${(mode & 0o777).toString(8)}); mend it with: chmod 600 ${path}`;
}

/** The token that a file holds: one line of 8 or more printable ASCII characters, without spaces. */
export function parseToken(text: string): string | undefined {
  const token = text.trim();
  return /^[\x21-\x7e]{8,4096}$/.test(token) ? token : undefined;
}
