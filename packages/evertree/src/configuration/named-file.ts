import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import { messageOf } from './document.ts';
import type { Problem } from './problem.ts';

export const PEM_FILE_LIMIT_BYTES = 1024 * 1024;

/** The text of a file that a configuration names, relative to itself; undefined, and a problem, where it can't be read. */
export function readNamedFile(
  document: ConfigurationDocument,
  place: KeyPath,
  file: string,
  limitBytes: number,
  problems: Problem[],
): string | undefined {
  const path = resolve(document.folder, file);
  const problem = (message: string) => problems.push(document.problem(place, `names ${JSON.stringify(file)}, which ${message}`));
  try {
    const { size } = statSync(path);
    if (size <= limitBytes) return readFileSync(path, 'utf8');
    problem(`has ${size} bytes; at most ${limitBytes} are read. Is it another file?`);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    problem(code === 'ENOENT' ? `does not exist (looked for at ${path})` : `can't be read: ${messageOf(error)}`);
  }
  return undefined;
}
