import { readFileSync } from 'node:fs';

/** The scripts of a file: each is a heading, and the lines below it. */
export function readScripts(file: string): [name: string, lines: string[]][] {
  return readFileSync(new URL(file, import.meta.url), 'utf8')
    .split(/^# /m)
    .slice(1)
    .map(part => {
      const [name, ...lines] = part.trim().split('\n');
      return [name!, lines];
    });
}
