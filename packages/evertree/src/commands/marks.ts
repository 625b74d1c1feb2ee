import { type Position, formatPosition } from '@evertree/core';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import type { SiteClient, WriteAnswer } from '../client/site-client.ts';
import { visible } from '../logs/visible.ts';
import { WHEN_HELP, alignedLines, localTime, whenOption } from './moment-text.ts';
import { type ClientOptions, type WriteOptions, clientOf, noteHeaders, waitHeaders, withSite, withWrite } from './options.ts';
import { printLine, tellNote } from './terminal.ts';

interface MarkCommandOptions extends WriteOptions {
  readonly at?: string;
  readonly move?: true;
}

/** What `GET /marks` tells of each. */
interface MarkView {
  readonly name: string;
  readonly position: Position;
  readonly markedAt: Position;
  readonly time: number;
  readonly author?: string;
  readonly message?: string;
  readonly reachable: boolean;
}

/** What `POST /admin/mark` answers. */
interface MarkAnswer extends WriteAnswer {
  readonly name: string;
  readonly named: Position;
  readonly moved: Position | null;
}

export function addMarks(program: Command): void {
  withWrite(program.command('mark <name>'))
    .summary('give the present state, or an earlier one, a name')
    .description(
      'Names a state, so that --at and --to take the name. The mark is a commit of its own: it is at every site, and in every copy. A name starts with a letter and is given once; --move gives it to another state.',
    )
    .addOption(new Option('--at <when>', 'the moment that gets the name (default: the present)').argParser(whenOption('--at')))
    .option('--move', 'take the name from the state that has it')
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree mark before-upgrade --message 'release 7 comes next'\n  evertree mark last-good --at 4-1200 --move`,
    )
    .action(async (name: string, options: MarkCommandOptions) => {
      const { at, move } = options;
      const answer = (await post(clientOf(options), 'mark', { name, at, move }, options)) as MarkAnswer;
      await printLine(options.json ? JSON.stringify(answer) : markedLine(answer));
    });
  withSite(program.command('marks'))
    .summary('list the named states')
    .description('Lists the marks, the newest state first. One whose state this site can no longer read is listed as such.')
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', '\nExample:\n  evertree marks')
    .action(async (options: ClientOptions & { json?: true }) => {
      const answer = (await clientOf(options).json('/marks')) as { readonly marks: readonly MarkView[] };
      if (options.json) return printLine(JSON.stringify(answer));
      if (answer.marks.length === 0) return tellNote('there is no mark');
      await printLine(alignedLines(answer.marks.map(markRow)).join('\n'));
    });
  withWrite(program.command('unmark <name>'))
    .summary('remove the name of a state')
    .description('Removes a mark. The state stays, and so does the history of the mark.')
    .addHelpText('after', '\nExample:\n  evertree unmark before-upgrade')
    .action(async (name: string, options: WriteOptions) => {
      const answer = (await post(clientOf(options), 'unmark', { name }, options)) as WriteAnswer;
      await printLine(options.json ? JSON.stringify(answer) : `${formatPosition(answer.position)}: ${name} is no mark any more`);
    });
}

async function post(client: SiteClient, what: 'mark' | 'unmark', body: object, options: WriteOptions): Promise<unknown> {
  return client.json(`/admin/${what}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...waitHeaders(options), ...noteHeaders(options) },
    body: JSON.stringify(body),
    patient: true,
  });
}

function markedLine({ position, name, named, moved }: MarkAnswer): string {
  const before = moved === null ? '' : `; it named ${formatPosition(moved)} before`;
  return `${formatPosition(position)}: ${name} names ${formatPosition(named)}${before}`;
}

function markRow({ name, position, time, author, message, reachable }: MarkView): string[] {
  const note = visible(message?.split('\n', 1)[0] ?? '');
  const lost = reachable ? '' : pico.yellow('(its state is not here any more) ');
  return [name, formatPosition(position), `marked ${localTime(time)}`, visible(author ?? '-'), `${lost}${note}`];
}
