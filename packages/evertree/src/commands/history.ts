import { type Position, formatPosition, parsePosition, parseJson } from '@evertree/core';
import { type Command, Option } from 'commander';
import { type SiteClient, queryOf } from '../client/site-client.ts';
import { countArgument, pathArgument } from './arguments.ts';
import { followEvents } from './events.ts';
import { UsageError } from './exit-status.ts';
import { type ChangeView, WHEN_HELP, changeLines, pathText, whenOption } from './moment-text.ts';
import { type ClientOptions, clientOf, withSite } from './options.ts';
import { SEARCHING, printLine, tellNote, whileTelling } from './terminal.ts';

const DEFAULT_LIMIT = 100;
/** What --follow prints of the past, where --from does not say how much. */
const FOLLOWED_PAST = 10;
/** The most changes that one request asks for. */
const PAGE_CHANGES = 1_000;

interface HistoryOptions extends Omit<ClientOptions, 'follow'> {
  readonly from?: string;
  readonly to?: string;
  readonly author?: string;
  readonly limit?: number;
  readonly values?: true;
  readonly follow?: true;
  readonly json?: true;
}

/** What `GET /history` answers. */
interface HistoryPage {
  readonly changes: readonly ChangeView[];
  readonly next: string | null;
  readonly elsewhere?: string;
}

export function addHistory(program: Command): void {
  withSite(program.command('history [path]'))
    .summary('print what changed at a path, when, and by whom')
    .description(
      'Prints the commits that concern a path, newest first: those with an operation at it, below it or above it. Without a path, all commits. Any site answers from its own journal.',
    )
    .addOption(new Option('--from <when>', 'only what came after this moment').argParser(whenOption('--from')))
    .addOption(new Option('--to <when>', 'only what came up to this moment').argParser(whenOption('--to')))
    .option('--author <name>', 'only commits of this author')
    .addOption(new Option('--limit <count>', `the most commits (default: ${DEFAULT_LIMIT})`).argParser(countArgument))
    .option('--values', 'with what stood there before and after')
    .option('--follow', 'the newest ones, oldest first, and then each commit as it comes, until it is interrupted')
    .option('--json', 'print the answer as JSON; with --follow one JSON object a line')
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree history /devices/r1 --values\n  evertree history --from -1h --author ada\n  evertree history /devices --to before-upgrade --limit 5 --json\n  evertree history --follow`,
    )
    .action(async (path: string | undefined, options: HistoryOptions) => {
      const pointer = path ?? '';
      pathArgument(pointer);
      await (options.follow ? follow(pointer, options) : list(pointer, options));
    });
  withSite(program.command('show <position>'))
    .summary('print one commit, with what stood before and after')
    .description('Prints one commit: when, by whom and why, and for each operation what stood there before and after.')
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', '\nExample:\n  evertree show 4-1201')
    .action(async (position: string, options: ClientOptions & { json?: true }) => {
      const change = (await clientOf(options).json(`/history/${positionArgument(position)}`, { patient: true })) as ChangeView;
      await printLine(options.json ? JSON.stringify(change) : changeLines(change, true).join('\n'));
    });
}

export function positionArgument(text: string): string {
  if (parsePosition(text) !== undefined) return text;
  throw new UsageError(`${JSON.stringify(text)} is no position; write one such as 4-1201`);
}

async function list(path: string, options: HistoryOptions): Promise<void> {
  const client = siteOf(options);
  let wanted = options.limit ?? DEFAULT_LIMIT;
  const gathered: ChangeView[] = [];
  let { to } = options;
  let last: HistoryPage;
  do {
    last = await page(client, path, { ...options, ...(to === undefined ? {} : { to }), limit: Math.min(wanted, PAGE_CHANGES) });
    wanted -= last.changes.length;
    to = last.next ?? undefined;
    if (options.json) gathered.push(...last.changes);
    else for (const change of last.changes) await printLine(changeLines(change, options.values === true).join('\n'));
  } while (wanted > 0 && to !== undefined);
  if (options.json) return printLine(JSON.stringify({ ...last, changes: gathered }));
  if (last.next === null && last.changes.length === 0 && wanted === (options.limit ?? DEFAULT_LIMIT)) {
    tellNote(`no commit there concerns ${pathText(path)}`);
  }
  if (last.next !== null) tellNote(`older ones: --to ${last.next}`);
  if (last.elsewhere !== undefined) tellNote(`older history is not here: ${last.elsewhere}`);
}

/** --follow of these commands means the history, and not the primary: any site answers. */
function siteOf({ follow: _follow, ...options }: HistoryOptions): SiteClient {
  return clientOf(options);
}

async function page(client: SiteClient, path: string, { from, to, author, limit, values }: HistoryOptions): Promise<HistoryPage> {
  const query = queryOf({ path, from, to, author, limit, values: values === true });
  return (await whileTelling(SEARCHING, client.json(`/history${query}`, { patient: true }))) as HistoryPage;
}

/** The page says up to which position it goes, and what comes follows that: nothing is missing between them. */
async function follow(path: string, options: HistoryOptions): Promise<void> {
  if (options.to !== undefined) throw new UsageError('--to and --follow exclude each other: what is followed has no end');
  const client = siteOf(options);
  const { author, values } = options;
  let { from } = options;
  const print = (change: ChangeView) => printLine(options.json ? JSON.stringify(change) : changeLines(change, values === true).join('\n'));
  if (from === undefined) {
    const query = queryOf({ path, author, limit: options.limit ?? FOLLOWED_PAST, values: values === true });
    const answer = await client.request(`/history${query}`, { patient: true });
    const { changes } = (await answer.json()) as HistoryPage;
    for (const change of changes.toReversed()) await print(change);
    from = formatPosition(answer.position as Position);
  }
  const target = `/history${queryOf({ path, from, author, values: values === true, follow: true })}`;
  await followEvents(client, target, ({ data }) => print(parseJson(data) as ChangeView));
}
