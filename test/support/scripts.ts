import { readFileSync } from 'node:fs';

/** The scripts of a file: each is a heading, and the lines below it. */
export function readScripts(file: URL): [name: string, lines: string[]][] {
  return readFileSync(file, 'utf8')
    .split(/^# /m)
    .slice(1)
    .map(part => {
      const [name, ...lines] = part.trim().split('\n');
      return [name!, lines];
    });
}
