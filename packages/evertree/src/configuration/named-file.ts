import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import { messageOf } from './document.ts';
import type { ConfigurationProblem } from './problem.ts';
import { exposureOf } from './secret-file.ts';

/** What is found about the files that a configuration names. */
export interface FileFindings {
  readonly problems: ConfigurationProblem[];
  /** Nothing that keeps a site from starting. */
  readonly warnings: string[];
}

/**
 * The text of a file that a configuration names, relative to itself; undefined, and a problem, where it can't be read.
 * @param isSecret whether a file that others can read deserves a warning
 */
export function readNamedFile(
  document: ConfigurationDocument,
  place: KeyPath,
  file: string,
  { problems, warnings }: FileFindings,
  { limitBytes, isSecret }: { readonly limitBytes: number; readonly isSecret: boolean },
): string | undefined {
  const path = resolve(document.folder, file);
  const problem = (message: string) => problems.push(document.problem(place, `names ${JSON.stringify(file)}, which ${message}`));
  try {
    const stats = statSync(path);
    const exposure = isSecret ? exposureOf(stats, path) : undefined;
    if (exposure !== undefined) warnings.push(`${place.join('.')} names ${JSON.stringify(file)}, which ${exposure}`);
    if (stats.size <= limitBytes) return readFileSync(path, 'utf8');
    problem(`has ${stats.size} bytes; at most ${limitBytes} are read. Is it another file?`);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    problem(code === 'ENOENT' ? `does not exist (looked for at ${path})` : `can't be read: ${messageOf(error)}`);
  }
  return undefined;
}
