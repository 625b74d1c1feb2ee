import { EvertreeError, type ExactPosition, type Position, formatPosition, parseJson } from '@evertree/core';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import type { SiteClient } from '../client/site-client.ts';
import { optional } from '../optional.ts';
import type { DivergenceState } from '../divergences/divergence-state.ts';
import type { ReplayResult } from '../divergences/replay.ts';
import { visible } from '../logs/visible.ts';
import { UsageError, REFUSED_BY_STATE } from './exit-status.ts';
import { pathText } from './moment-text.ts';
import { type ClientOptions, type WaitOptions, clientOf, waitHeaders, withClient, withWait } from './options.ts';
import type { SiteStatus } from './status-report.ts';
import { print, printLine } from './terminal.ts';
import { formatBytes, formatCount } from './units.ts';

/**
 * A request with the commits that are to be replayed is at most about so long; more go in several. Those of a dry run go in
 * one: each commit is tried on what those before it make, and nothing of that is left for another request.
 */
const REQUEST_CHARACTERS = 16 * 1024 * 1024;

/** What `GET /divergences` answers for each. */
interface DivergenceView {
  readonly number: number;
  readonly name: string;
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  readonly missing: object | null;
  readonly commits: number;
  readonly firstTime: number | null;
  readonly lastTime: number | null;
  readonly authors: readonly string[];
  readonly marks?: readonly string[];
  readonly paths: readonly string[];
  readonly bytes: number;
  readonly replayed: readonly { readonly from: number; readonly to: number }[];
  readonly state: DivergenceState;
}

type PlainChange = readonly [type: string, path: string, value?: unknown];

interface CommitView {
  readonly position: Position;
  readonly epochId: string;
  readonly time: number;
  readonly author?: string;
  readonly message?: string;
  readonly operations: readonly PlainChange[];
  readonly replayed: boolean;
  readonly standing: boolean;
}

interface ListOptions extends ClientOptions {
  readonly json?: true;
}

interface ReplayOptions extends WaitOptions {
  readonly commit?: readonly number[];
  readonly to?: string;
  readonly force?: true;
  readonly dryRun?: true;
}

export function addDivergences(program: Command): void {
  const divergences = withClient(program.command('divergences').enablePositionalOptions())
    .summary('commits that a promotion left behind: list, read, apply again')
    .description(
      'Lists the divergences that a site keeps: commits that it made, and that are not in the history which went on without it. They stay until they are forgotten. N is the number in the list, or the name or its beginning.',
    )
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  evertree divergences --url http://127.0.0.1:8181\n  evertree divergences show 1\n  evertree divergences replay 1 --dry-run\n  evertree divergences replay 1 --commit 1-1206 1-1208',
    )
    .action(list);
  withClient(divergences.command('list'))
    .summary('list them (also without a word)')
    .option('--json', 'print the answer as JSON')
    .action(list);
  withClient(divergences.command('show <n>'))
    .summary('print the commits of one')
    .option('--json', 'as JSON, one commit a line')
    .action(show);
  withClient(divergences.command('export <n>'))
    .summary('print one whole, one commit a line, as JSON')
    .option('--json', 'accepted as on other commands; the output is JSON in any case')
    .action(async (n: string, options: ListOptions) => {
      for await (const chunk of await exported(clientOf(options), n)) await print(chunk);
    });
  addReplay(divergences);
  withClient(divergences.command('forget <n>'))
    .summary('drop one for good')
    .option('--json', 'print the answer as JSON')
    .action(async (n: string, options: ListOptions) => {
      const answer = (await post(clientOf(options), 'forget', { divergence: n })) as { readonly name: string; readonly commits: number };
      await printLine(options.json ? JSON.stringify(answer) : `${answer.name} with ${commitsText(answer.commits)} is forgotten`);
    });
}

function addReplay(divergences: Command): void {
  withWait(divergences.command('replay <n>'))
    .summary('apply its commits again, at the primary')
    .description(
      'Applies commits of a divergence at the primary, as new commits with their authors. One whose paths no longer hold what it saw is a conflict: it is shown, and left out unless --force is given. One that was applied before, or is in the history itself by now, is not applied again. Exit status 3: a commit was left out.',
    )
    .addOption(
      new Option('--commit <position...>', 'only these, such as 1-1206 (default: all)').argParser(
        (text: string, before: readonly number[] | undefined) => [...(before ?? []), revisionOf(text)],
      ),
    )
    .option('--to <url>', 'the primary (default: as the site of --url says)')
    .option('--force', 'also those with conflicts')
    .option('--dry-run', 'only tell what would be done')
    .action(replay);
}

function revisionOf(text: string): number {
  const revision = /^(?:\d{1,10}-)?(\d{1,15})$/.exec(text)?.[1];
  if (revision === undefined) throw new UsageError(`${JSON.stringify(text)} is no position of a commit; write one such as 1-1206`);
  return Number(revision);
}

function commitsText(count: number): string {
  return `${formatCount(count)} commit${count === 1 ? '' : 's'}`;
}

async function list(options: ListOptions): Promise<void> {
  const client = clientOf(options);
  const answer = (await client.json('/divergences')) as { readonly divergences: readonly DivergenceView[] };
  if (options.json) return printLine(JSON.stringify(answer));
  const lines = answer.divergences.flatMap(each => divergenceLines(each, client.url.origin));
  await printLine(lines.length === 0 ? `${client.url.origin} keeps no divergence` : lines.join('\n'));
}

function divergenceLines(divergence: DivergenceView, url: string): string[] {
  const {
    number,
    name,
    base,
    last,
    commits,
    firstTime,
    lastTime,
    authors,
    paths,
    marks = [],
    bytes,
    missing,
    replayed,
    state,
  } = divergence;
  const applied = replayed.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  return [
    `${pico.bold(String(number))}  ${name}`,
    `   ${commitsText(commits)} (${formatBytes(bytes)}) after ${formatPosition(base)} up to ${formatPosition(last)}, from ${timeText(firstTime)} to ${timeText(lastTime)}`,
    `   by ${authors.map(visible).join(', ') || 'nobody named'}, at ${paths.map(path => JSON.stringify(path)).join(', ') || 'no path'}`,
    ...(marks.length === 0 ? [] : [`   ${pico.yellow(`marks that went with it: ${marks.map(mark => JSON.stringify(mark)).join(', ')}`)}`]),
    ...(applied > 0 && state === 'open' ? [`   ${formatCount(applied)} of them applied again`] : []),
    ...(state === 'open' ? [] : [`   ${pico.green(nothingMissing(state, number, url))}`]),
    ...(missing === null ? [] : [`   ${pico.yellow('its beginning was dropped before, by retention')}`]),
  ];
}

/** Why nothing has to be done. The user decides whether it stays. */
function nothingMissing(state: Exclude<DivergenceState, 'open'>, number: number, url: string): string {
  const why =
    state === 'standing'
      ? 'all of it is in the history again, as a site that had it was promoted'
      : 'all of its commits were applied again';
  return `${why}: nothing is to be done, and "evertree divergences forget ${number} --url ${url}" drops it`;
}

function timeText(milliseconds: number | null): string {
  return milliseconds === null ? 'unknown' : new Date(milliseconds).toISOString();
}

function targetOfDivergence(n: string, more = ''): string {
  return `/divergences/${encodeURIComponent(n)}${more}`;
}

async function exported(client: SiteClient, n: string): Promise<AsyncGenerator<Uint8Array>> {
  return (await client.request(targetOfDivergence(n, '/export'))).body();
}

/** The lines of an export, parsed. */
async function* commitsOf(client: SiteClient, n: string): AsyncGenerator<CommitView> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of await exported(client, n)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield parseJson(line) as CommitView;
  }
}

async function show(n: string, options: ListOptions): Promise<void> {
  for await (const commit of commitsOf(clientOf(options), n)) {
    await printLine(options.json ? JSON.stringify(commit) : commitLines(commit).join('\n'));
  }
}

function commitLines({ position, time, author, message, operations, replayed, standing }: CommitView): string[] {
  const by = author === undefined ? '' : ` by ${visible(author)}`;
  const note = message === undefined ? '' : `: ${visible(message)}`;
  const again = replayed ? '  (applied again)' : '';
  const fate = standing ? '  (in the history again)' : again;
  const lines = operations.map(([type, path, value]) =>
    type === 'delete'
      ? `  ${pico.red('delete')} ${pathText(path)}`
      : `  ${pico.green(type)} ${pathText(path)} ${visible(JSON.stringify(value))}`,
  );
  return [`${pico.bold(formatPosition(position))} ${pico.dim(new Date(time).toISOString())}${by}${note}${fate}`, ...lines];
}

async function replay(n: string, options: ReplayOptions): Promise<void> {
  const holder = clientOf(options);
  const divergence = (await holder.json(targetOfDivergence(n, '?limit=1'))) as DivergenceView;
  const commits: CommitView[] = [];
  for await (const commit of commitsOf(holder, divergence.name)) commits.push(commit);
  const chosen = new Set(options.commit ?? commits.map(({ position }) => position.revision));
  checkChosen(chosen, commits);
  const primary = await primaryOf(holder, options);
  const results: ReplayResult[] = [];
  for (const part of options.dryRun ? [partOf(commits, chosen)] : parts(commits, chosen)) {
    const body = { base: divergence.base, ...part, ...optional('force', options.force), ...optional('dryRun', options.dryRun) };
    results.push(...((await post(primary, 'replay', body, waitHeaders(options))) as { readonly results: ReplayResult[] }).results);
  }
  const stands = results.filter(({ outcome }) => outcome !== 'conflict' && outcome !== 'refused');
  if (!options.dryRun && stands.length > 0) {
    await post(holder, 'mark', { divergence: divergence.name, revisions: stands.map(({ position }) => position.revision) });
  }
  if (options.json) await printLine(JSON.stringify({ name: divergence.name, primary: primary.url.origin, results }));
  else await printLine(results.map(result => resultLine(result, options.dryRun === true)).join('\n') || 'the divergence has no commit');
  if (stands.length < results.length) process.exitCode = REFUSED_BY_STATE;
}

function checkChosen(chosen: ReadonlySet<number>, commits: readonly CommitView[]): void {
  const there = new Set(commits.map(({ position }) => position.revision));
  const unknown = [...chosen].find(revision => !there.has(revision));
  if (unknown !== undefined)
    throw new UsageError(`the divergence has no commit with the revision ${unknown}; "divergences show" lists them`);
}

/** The client of the primary: that of `--to`, or as the site says that keeps the divergence. */
async function primaryOf(holder: SiteClient, options: ReplayOptions): Promise<SiteClient> {
  if (options.to !== undefined) return clientOf({ ...options, url: options.to });
  const { role, consumer } = (await holder.json('/status')) as SiteStatus;
  if (role === 'primary') return holder;
  const address = consumer?.primary?.address;
  if (address !== undefined) return clientOf({ ...options, url: address });
  throw new EvertreeError('NOT_PRIMARY', `${holder.url.origin} does not know where the primary is; name it with --to URL`);
}

interface ReplayPart {
  readonly commits: readonly number[];
  readonly changes: readonly CommitView[];
}

/**
 * Cuts a replay into requests of a bounded length. Each names every commit of the divergence, because conflicts depend
 * on them, but has the values of those only that are to be applied by it.
 */
function* parts(commits: readonly CommitView[], chosen: ReadonlySet<number>): Generator<ReplayPart> {
  let inPart = new Set<number>();
  let characters = 0;
  for (const commit of commits) {
    const { revision } = commit.position;
    if (!chosen.has(revision)) continue;
    const length = JSON.stringify(commit.operations).length;
    if (inPart.size > 0 && characters + length > REQUEST_CHARACTERS) {
      yield partOf(commits, inPart);
      inPart = new Set();
      characters = 0;
    }
    inPart.add(revision);
    characters += length;
  }
  if (inPart.size > 0) yield partOf(commits, inPart);
}

function partOf(commits: readonly CommitView[], inPart: ReadonlySet<number>): ReplayPart {
  const changes = commits.map(commit =>
    inPart.has(commit.position.revision) ? commit : { ...commit, operations: commit.operations.map(pathOnly) },
  );
  return { commits: [...inPart], changes };
}

/** An operation of a commit that is not applied: only its path counts. */
function pathOnly([, path]: PlainChange): PlainChange {
  return ['delete', path];
}

function resultLine({ position, outcome, conflicts, as, error }: ReplayResult, isDryRun: boolean): string {
  const head = `${formatPosition(position)} ${OUTCOMES[outcome](isDryRun)}${as === undefined ? '' : ` as ${formatPosition(as)}`}`;
  const lines = conflicts.map(({ path, reason, position: at }) => {
    const where = at === undefined ? '' : `, by ${formatPosition(at)}`;
    return `  ${JSON.stringify(path)} ${REASONS[reason]}${where}`;
  });
  return [error === undefined ? head : `${head}: ${error.text} (${error.code})`, ...lines].join('\n');
}

const OUTCOMES: Readonly<Record<ReplayResult['outcome'], (isDryRun: boolean) => string>> = {
  applied: isDryRun => pico.green(isDryRun ? 'would be applied' : 'applied'),
  equal: () => 'is there already',
  replayed: () => 'was applied before',
  conflict: () => pico.yellow('conflict, left out'),
  refused: () => pico.red('refused'),
};

const REASONS: Readonly<Record<ReplayResult['conflicts'][number]['reason'], string>> = {
  changed: 'was changed since the fork',
  later: 'holds what a later commit of the divergence wrote',
  'left-out': 'lacks what an earlier commit of the divergence wrote, which was left out',
  unknown: 'may have been changed: the history since the fork is not all there any more',
};

async function post(client: SiteClient, what: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
  return client.json(`/admin/divergences/${what}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
    patient: true,
  });
}
