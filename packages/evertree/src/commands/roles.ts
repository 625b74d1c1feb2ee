import { EvertreeError, type Obstacle, type Position, SUMMARY_LIMIT, formatPosition, isEvertreeError } from '@evertree/core';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import type { SiteClient } from '../client/site-client.ts';
import { optional } from '../optional.ts';
import { durationArgument, siteArgument } from './arguments.ts';
import { FAILED, REFUSED_BY_STATE } from './exit-status.ts';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import type { SiteStatus } from './status-report.ts';
import { printLine, tellProgress } from './terminal.ts';
import { formatCount, formatDuration } from './units.ts';

/** How often the site is asked for the step that it is at, while the command waits. */
const STEP_INTERVAL_MS = 250;

interface RoleOptions extends ClientOptions {
  readonly dryRun?: true;
  readonly json?: true;
}

interface SwitchoverCommandOptions extends RoleOptions {
  readonly to?: string;
  readonly maxPause?: number;
  readonly cancel?: true;
}

interface PromoteCommandOptions extends RoleOptions {
  readonly confirm?: string;
  readonly force?: true;
}

export function addRoles(program: Command): void {
  withClient(program.command('switchover'))
    .summary('let a secondary become the primary, with nothing lost')
    .description(
      'Swaps roles while both sites run, started with --standby-config. Writes that come meanwhile wait, and how long they waited is printed. Nothing is lost. Given again after an interruption it goes on, or says what became of it. Either site may be asked.',
    )
    .addOption(new Option('--to <site>', 'the site that is to lead (default: the only secondary)').argParser(siteArgument))
    .option('--dry-run', 'only tell what stands in the way, and how long writers would wait')
    .addOption(new Option('--max-pause <time>', 'how long writers may wait, such as 5s or 500ms (default: 5s)').argParser(durationArgument))
    .addOption(new Option('--cancel', 'take back the switchover that is under way').conflicts(['dryRun', 'maxPause']))
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', '\nExamples:\n  evertree switchover --dry-run\n  evertree switchover --to box-b --max-pause 2s')
    .action(switchover);
  withClient(program.command('promote'))
    .summary('make a secondary the primary when the primary is gone')
    .description(
      'Makes the site of --url, a secondary, the primary without its old primary. Commits that only that one has are left behind: --dry-run says what is known of them. It never asks back: with --confirm it goes on only if nothing has changed since the dry run, and with neither it promotes at once. When the old primary comes back it is fenced, and keeps them as a divergence. Use switchover while the primary works.',
    )
    .option('--dry-run', 'only tell what would be lost, and print the hash for --confirm')
    .option('--confirm <hash>', 'go on only if nothing has changed since that dry run')
    .option('--force', 'in spite of a primary that works, and of other obstacles that can be overruled')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  evertree promote --dry-run --url http://127.0.0.1:8182\n  evertree promote --confirm 5f0c9b1c5e04d2a7 --url http://127.0.0.1:8182',
    )
    .action(promote);
}

interface SwitchoverAnswer {
  readonly outcome: 'done' | 'abandoned' | 'unknown';
  readonly command: string;
  readonly text: string;
  readonly from: string;
  readonly to: string;
  readonly position: Position;
  readonly pauseMs: number | null;
}

interface ForecastAnswer {
  readonly possible: boolean;
  readonly obstacles: readonly Obstacle[];
  /** What does not stand in the way. */
  readonly warnings?: readonly Obstacle[];
}

async function switchover({ to, dryRun, maxPause, cancel, json, ...client }: SwitchoverCommandOptions): Promise<void> {
  const body = { ...optional('to', to), ...optional('dryRun', dryRun), ...optional('maxPauseMs', maxPause), ...optional('cancel', cancel) };
  const answer = await ask(clientOf(client), '/admin/switchover', body);
  if (dryRun) return tellForecast(answer as SwitchoverForecastAnswer, json, switchoverForecastLine);
  const result = answer as SwitchoverAnswer;
  await printLine(json ? JSON.stringify(result) : resultLine(result));
  if (result.outcome !== 'done') process.exitCode = FAILED;
}

function resultLine({ outcome, from, to, position, pauseMs, text, command }: SwitchoverAnswer): string {
  const pause = pauseMs === null ? '' : `; writers waited ${formatDuration(pauseMs)}`;
  switch (outcome) {
    case 'done':
      return `${pico.green('done')}: ${to} is the primary, and goes on from ${formatPosition(position)} of ${from}${pause}`;
    case 'abandoned':
      return `${pico.yellow('abandoned')}: ${text}${pause}`;
    case 'unknown':
      return `${pico.yellow('unknown')}: ${text}; give the same command again, or look at "evertree status" of both sites (command ${command})`;
  }
}

interface SwitchoverForecastAnswer extends ForecastAnswer {
  readonly from: string;
  readonly to?: string;
  readonly predictedPauseMs: number | null;
}

function switchoverForecastLine({ from, to, predictedPauseMs }: SwitchoverForecastAnswer): string {
  const pause = predictedPauseMs === null ? '' : `; writers would wait about ${formatDuration(predictedPauseMs)}`;
  return `${from} can hand over to ${to}${pause}`;
}

/** What `promote` answers: a dry run, and one that was carried out. */
interface PromotionForecastAnswer extends ForecastAnswer {
  /** `lasting`: --force does not help. */
  readonly obstacles: readonly (Obstacle & { readonly lasting?: boolean })[];
  readonly site: string;
  readonly position: Position;
  readonly primary?: { readonly site: string; readonly position: Position };
  readonly lastContact?: number;
  readonly reached: readonly { readonly site: string; readonly standing: string; readonly last: Position }[];
  readonly unreached: readonly string[];
  readonly adopts?: { readonly site: string; readonly commits: number; readonly leaves: number };
  readonly lost: Loss;
  readonly confirm: string;
}

interface Loss {
  readonly commits: number;
  readonly more: boolean;
  /** Of how many commits paths and authors are known. */
  readonly named: number;
  readonly paths: readonly string[] | 'unknown';
  readonly authors: readonly string[] | 'unknown';
}

interface PromotionAnswer {
  readonly epoch: { readonly number: number; readonly id: string };
  readonly position: Position;
  readonly lost: Loss;
  readonly unheard: readonly string[];
}

async function promote({ dryRun, confirm, force, json, ...client }: PromoteCommandOptions): Promise<void> {
  const body = { ...optional('dryRun', dryRun), ...optional('confirm', confirm), ...optional('force', force) };
  const site = clientOf(client);
  const answer = await ask(site, '/admin/promote', body).catch((error: unknown) => {
    throw dryRun ? error : promotionEnd(error);
  });
  if (dryRun) return tellForecast(answer as PromotionForecastAnswer, json, forecast => promotionForecastLines(forecast, site.url.origin));
  if (json) return printLine(JSON.stringify(answer));
  const { epoch, position, lost, unheard } = answer as PromotionAnswer;
  const lines = [
    `${pico.green('done')}: this site is the primary, in epoch ${epoch.number} from ${formatPosition(position)} on`,
    lossLine(lost),
  ];
  if (unheard.length > 0)
    lines.push(`not heard: ${unheard.join(', ')}; commits that they acknowledged to an older primary may be missing here`);
  await printLine(lines.join('\n'));
}

/** A site that dies while it is promoted leaves promises behind: whoever gave the command has to hear of them. */
function promotionEnd(error: unknown): unknown {
  const wasCut = isEvertreeError(error, 'UNREACHABLE') && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNRESET';
  if (!wasCut) return error;
  const message =
    `${error.message}. If the site died before its epoch began, other sites may have promised that epoch, and take no writes until one ` +
    'is promoted: ask them with "evertree status", then promote again, here or there';
  return new EvertreeError('UNREACHABLE', message, error.details, error.cause);
}

function promotionForecastLines(
  { site, position, primary, lastContact, reached, unreached, adopts, lost, confirm, possible, obstacles }: PromotionForecastAnswer,
  url: string,
): string {
  const contact = lastContact === undefined ? 'was not heard since the start' : `was heard last at ${new Date(lastContact).toISOString()}`;
  // Where it stood when its link began tells nothing once this site is further.
  const stood = primary !== undefined && primary.position.revision > position.revision ? `, at ${formatPosition(primary.position)}` : '';
  const old = primary === undefined ? 'it has not heard of any primary' : `${primary.site} ${contact}${stood}`;
  const isHopeless = obstacles.some(({ lasting }) => lasting === true);
  const force = obstacles.length > 0 ? ' --force' : '';
  return [
    `${site} would be the primary from ${formatPosition(position)} on; ${old}`,
    ...(adopts === undefined ? [] : [adoptionLine(site, adopts)]),
    lossLine(lost),
    ...reached.map(other => `reached: ${other.site}, ${other.standing}, at ${formatPosition(other.last)}`),
    ...(unreached.length > 0 ? [`not reached: ${unreached.join(', ')}`] : []),
    ...(isHopeless
      ? []
      : [`${possible ? 'to do so' : 'to do so all the same'}: evertree promote --confirm ${confirm}${force} --url ${url}`]),
  ].join('\n');
}

function adoptionLine(site: string, { site: other, commits, leaves }: NonNullable<PromotionForecastAnswer['adopts']>): string {
  const own = leaves === 0 ? '' : `; ${site} keeps ${formatCount(leaves)} of its own as a divergence`;
  return `${other} is further: ${site} takes over ${formatCount(commits)} commit${commits === 1 ? '' : 's'} from it first${own}`;
}

function lossLine({ commits, more, named, paths, authors }: Loss): string {
  if (commits === 0 && !more) return 'lost: nothing';
  const part = named > 0 && named < commits ? `of ${formatCount(named)} of them ` : '';
  const count = `${formatCount(commits)} commit${commits === 1 ? '' : 's'} (${part}paths: ${namesText(paths)}; authors: ${namesText(authors)})`;
  const known = commits === 0 ? 'nothing that is known' : count;
  return `lost: ${known}${more ? '; what else only the old primary has is unknown: commits, paths and authors' : ''}`;
}

function namesText(each: readonly string[] | 'unknown'): string {
  if (each === 'unknown') return each;
  return (each.length < SUMMARY_LIMIT ? each : [...each, '…']).join(', ') || 'none';
}

/** Prints a dry run, and what stands in the way; 3 if something does. */
async function tellForecast<T extends ForecastAnswer>(forecast: T, json: true | undefined, text: (forecast: T) => string): Promise<void> {
  if (json) await printLine(JSON.stringify(forecast));
  else {
    const { possible, obstacles, warnings = [] } = forecast;
    await printLine(
      [
        possible ? pico.green('possible') : pico.red('not possible'),
        ...[...obstacles, ...warnings].map(obstacleLine),
        ...(possible || 'confirm' in forecast ? [text(forecast)] : []),
      ].join('\n'),
    );
  }
  if (!forecast.possible) process.exitCode = REFUSED_BY_STATE;
}

function obstacleLine({ code, text }: Obstacle): string {
  return `  ${pico.yellow(code)}: ${text}`;
}

/** Sends the request, and tells at a terminal at which step the site is. */
async function ask(client: SiteClient, target: string, body: object): Promise<unknown> {
  const steps = new Steps(client);
  const timer = setInterval(() => void steps.look(), STEP_INTERVAL_MS);
  try {
    return await client.json(target, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      patient: true,
    });
  } finally {
    clearInterval(timer);
  }
}

/** The steps of a change of roles, each told once. */
class Steps {
  readonly #client: SiteClient;
  #isLooking = false;
  #told = '';

  constructor(client: SiteClient) {
    this.#client = client;
  }

  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const { switch: status } = (await this.#client.json('/status')) as SiteStatus;
      if (status === undefined || status === null || status.step === this.#told) return;
      this.#told = status.step;
      tellProgress(`${status.step} …`);
    } catch (error) {
      // The command's own request tells what is wrong.
      if (!isEvertreeError(error)) throw error;
    } finally {
      this.#isLooking = false;
    }
  }
}
