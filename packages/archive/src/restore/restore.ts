import {
  type Clock,
  type Disk,
  type ErrorCode,
  EvertreeError,
  formatPosition,
  isEvertreeError,
  type Random,
  type Reporter,
  type Role,
  samePosition,
} from '@evertree/core';
import type { WhenLike } from '@evertree/history';
import type { Identities } from '../encryption/identities.ts';
import { Archive } from '../reading/archive.ts';
import { pinOf } from '../reading/archive-pin.ts';
import { nearestStates, type NearestStates } from '../reading/line-history.ts';
import { nameOf, type RestorePlan } from '../reading/restore-plan.ts';
import type { Target } from '../targets/target.ts';
import { highestEpochIn } from './archived-epochs.ts';
import { assertReached } from './damaged-end.ts';
import { assertEmpty } from './empty-directory.ts';
import { forecastOf, type RestoreForecast } from './restore-forecast.ts';
import { restoreDirectory } from './restore-run.ts';
import type { RestoredSite, RestoreTask } from './restore-task.ts';
import { readRestoreState, type RestoreState } from './restore-state.ts';

export interface RestoreOptions {
  readonly target: Target;
  readonly identities?: Identities | undefined;
  /** The directory to restore into: empty or absent, or one in which the same restore did not end. */
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly report?: Reporter;
  /** The state to restore; by default the newest. */
  readonly to?: WhenLike;
  /** A line's id, or the name of its site; by default the line that stands. */
  readonly line?: string | undefined;
  /** Keys of objects to do without, because they are damaged or missing: there may be another way to the state. */
  readonly without?: readonly string[];
  /** A primary goes on in an epoch of its own; a secondary follows its primary from there. */
  readonly role?: Role;
  /**
   * The site's name; by default that of the site that archived the line. If no line is named, a primary is named as the
   * primary that the line names last, if that archived here, too.
   */
  readonly site?: string | undefined;
  /** The site begins another stream, so that no site of the original takes it for one of theirs. */
  readonly asNewStream?: boolean;
  /** Ends with the plan. Nothing is changed. */
  readonly dryRun?: boolean;
  /** Told the plan before anything is changed. */
  readonly planned?: (plan: RestoreForecast) => void | Promise<void>;
  readonly progress?: (doneBytes: number, totalBytes: number) => void;
  /** Of the segments that are written. */
  readonly segmentBytes?: number;
}

/** What a restore did. */
export interface Restored extends RestoredSite {
  readonly plan: RestoreForecast;
  readonly site: string;
  readonly role: Role;
  readonly milliseconds: number;
}

/**
 * Restores a state of an archive into a directory, as a site that goes on from there. If reading is interrupted, the next
 * call goes on with what is there. Where it is refused, the directory stays as it was.
 * @throws EvertreeError WRONG_ROLE if the directory holds something; UNFINISHED if other work, or another restore, did not
 *   end there; DIRECTORY_IN_USE; NOT_FOUND, COMPACTED, POSITION_MISMATCH, HISTORY_MISMATCH if there is no such state;
 *   DAMAGED with `object` and `nearest`; IDENTITY_NEEDED; CONFIGURATION_INVALID without a name for the site, or for a
 *   secondary that has the name of its primary; STORAGE_FULL
 */
export function restoreSite(options: RestoreOptions & { readonly dryRun: true }): Promise<RestoreForecast>;
export function restoreSite(options: RestoreOptions & { readonly dryRun?: false }): Promise<Restored>;
export async function restoreSite(options: RestoreOptions): Promise<RestoreForecast | Restored> {
  const { disk, clock, target } = options;
  const begun = clock.monotonic();
  await assertRestorable(disk);
  const archive = await Archive.open(target, { identities: options.identities, ...(options.report && { report: options.report }) });
  archive.assertEncryptedFor(options.identities);
  const found = await readRestoreState(disk);
  if (found !== undefined) assertSame(found, archive, options);
  const plan = await planOf(archive, options, found);
  const archivedEpoch = await highestEpochIn(archive);
  if (found === undefined) await assertReached(archive, plan, options);
  const forecast = forecastOf(
    archive,
    plan,
    { ...options, site: await siteOf(archive, plan, options) },
    { archivedEpoch, resumes: found !== undefined },
  );
  await assertName(archive, plan, forecast, options);
  await options.planned?.(forecast);
  if (options.dryRun === true) return forecast;
  const site = assertComplete(archive, forecast, options);
  const state = stateOf(plan, options, found);
  const restored = await withOtherLines(archive, plan, () => carryOut(archive, plan, { forecast, site, archivedEpoch, state }, options));
  return { ...restored, plan: forecast, site, role: forecast.role, milliseconds: clock.monotonic() - begun };
}

/**
 * The name of the restored site. Where a secondary's line goes furthest, what becomes the primary takes the name of the
 * primary, for the secondary may be running.
 */
async function siteOf(archive: Archive, plan: RestorePlan, { site, line, role, identities }: RestoreOptions): Promise<string | undefined> {
  const { lines, isEncrypted } = archive;
  const isOnlySite = lines.every(each => each.site === plan.site);
  if (site !== undefined || line !== undefined || role === 'secondary' || isOnlySite) return site;
  if (isEncrypted && identities === undefined) return undefined;
  try {
    const primary = await archive.primaryOf(lines.find(({ id }) => id === plan.line)!);
    return lines.some(each => each.site === primary) ? primary : undefined;
  } catch (error) {
    // Fetching meets the same object, and tells what can be restored.
    if (isEvertreeError(error, 'DAMAGED')) return undefined;
    throw error;
  }
}

interface RestoreWork {
  readonly forecast: RestoreForecast;
  readonly site: string;
  readonly archivedEpoch: number;
  readonly state: RestoreState;
}

async function carryOut(
  archive: Archive,
  plan: RestorePlan,
  { forecast, site, archivedEpoch, state }: RestoreWork,
  options: RestoreOptions,
): Promise<RestoredSite> {
  const { disk, clock, random, report } = options;
  await using held = new AsyncDisposableStack();
  held.use(await pinOf(archive, { clock, random, report, purpose: 'restore' }));
  await guarded(plan, () => archive.assertThere(plan));
  held.use(await disk.lock());
  await assertRestorable(disk);
  await assertRoom(disk, forecast);
  const newStream = forecast.asNewStream ? Buffer.from(random.bytes(16)).toString('hex') : undefined;
  const task: RestoreTask = {
    ...options,
    source: {
      image: plan.image,
      parts: skipped => archive.imageParts(plan, skipped),
      frames: after => archive.gathered(plan, after),
    },
    state,
    stream: plan.stream,
    digest: plan.digest,
    plainBytes: plan.plainBytes,
    identity: { site, role: forecast.role, newStream, archivedEpoch },
  };
  return guarded(plan, () => restoreDirectory(task));
}

/** Says of a damaged object how to do without it, where that is possible. */
async function guarded<T>(plan: RestorePlan, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isEvertreeError(error, 'DAMAGED')) throw error;
    const { object, nearest } = error.details as { readonly object?: string; readonly nearest?: NearestStates };
    const isReachable = nearest?.before !== undefined && samePosition(nearest.before, plan.position);
    if (object === undefined || !isReachable) throw error;
    throw new EvertreeError('DAMAGED', `${error.message}; --without ${object} takes another way to it`, error.details, error);
  }
}

/** Says of a damaged object which other lines have the same state. */
async function withOtherLines<T>({ lines }: Archive, { line, position }: RestorePlan, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isEvertreeError(error, 'DAMAGED')) throw error;
    const others = lines.filter(({ id, states }) => {
      const { before } = nearestStates(states, position.revision);
      return id !== line && before !== undefined && samePosition(before, position);
    });
    if (others.length === 0) throw error;
    const ways = others.map(other => `${nameOf(other)} (--line ${other.id})`).join(', ');
    throw new EvertreeError('DAMAGED', `${error.message}; ${formatPosition(position)} is in ${ways}, too`, error.details, error);
  }
}

/** @throws EvertreeError WRONG_ROLE, UNFINISHED */
async function assertRestorable(disk: Disk): Promise<void> {
  if ((await readRestoreState(disk)) === undefined) await assertEmpty(disk);
}

/** The plan of what was asked for; of a restore that goes on, the plan of the position that it had found. */
async function planOf(
  archive: Archive,
  { to, line, clock, without }: RestoreOptions,
  found: RestoreState | undefined,
): Promise<RestorePlan> {
  const leftOut = without === undefined ? {} : { without: new Set(without) };
  if (found === undefined) return archive.plan(to, { line, now: clock.now(), ...leftOut });
  try {
    return await archive.plan(found.position, { line: found.line, ...leftOut });
  } catch (error) {
    if (!isEvertreeError(error) || !PRUNED.has(error.code)) throw error;
    const message =
      `in this directory a restore of ${formatPosition(found.position)} did not end, and it can't go on: ${error.message}; ` +
      'remove the directory, or name another one, and restore anew';
    throw new EvertreeError(error.code, message, error.details, error);
  }
}

/** Errors of a state that was pruned since a restore of it began. */
const PRUNED: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'COMPACTED', 'POSITION_MISMATCH', 'HISTORY_MISMATCH']);

/** What was asked for, as one text. */
function askedOf({ to }: RestoreOptions): string | null {
  return to === undefined ? null : typeof to === 'string' ? to : JSON.stringify(to);
}

/** @throws EvertreeError UNFINISHED if another restore did not end in the directory */
function assertSame(found: RestoreState, archive: Archive, options: RestoreOptions): void {
  const { role = 'primary', line } = options;
  const isSameLine =
    line === undefined || archive.lines.some(({ id, site }) => id === found.line && (site === line || id.startsWith(line)));
  if (found.archive === archive.id && found.asked === askedOf(options) && found.role === role && isSameLine) return;
  const what = found.archive === archive.id ? `the ${found.role} at ${formatPosition(found.position)}` : `the archive ${found.archive}`;
  const asked = found.asked === null ? 'without --to' : `with --to ${found.asked}`;
  const message =
    `in this directory another restore did not end: of ${what}, ${asked}. Run it again as it was run, and it goes on from there; ` +
    'or remove the directory, or name another one';
  throw new EvertreeError('UNFINISHED', message, { position: found.position, asked: found.asked });
}

/** The state that is recorded. What an earlier attempt has of another image does not count. */
function stateOf(plan: RestorePlan, options: RestoreOptions, found: RestoreState | undefined): RestoreState {
  const image = plan.image?.position ?? null;
  if (found !== undefined && found.image?.revision === image?.revision && found.image?.epochId === image?.epochId) return found;
  const { archive, line, position } = plan;
  return { archive, line, asked: askedOf(options), role: options.role ?? 'primary', position, image, parts: 0 };
}

/**
 * Before anything is fetched. Where the names can't be read only a dry run goes on.
 * @throws EvertreeError CONFIGURATION_INVALID for a secondary that has the name of its primary; DAMAGED
 */
async function assertName(
  archive: Archive,
  plan: RestorePlan,
  { role, site }: RestoreForecast,
  { identities }: RestoreOptions,
): Promise<void> {
  if (role !== 'secondary' || site === undefined || (archive.isEncrypted && identities === undefined)) return;
  const primary = await guarded(plan, () => archive.primaryAt(plan));
  if (site !== primary) return;
  const message = `a secondary can't be named ${site}: that is the name of its primary, and each would take the other's place; give it another name with --site`;
  throw new EvertreeError('CONFIGURATION_INVALID', message, { site });
}

/** @returns the site's name @throws EvertreeError IDENTITY_NEEDED, CONFIGURATION_INVALID */
function assertComplete(archive: Archive, { site, target }: RestoreForecast, { identities }: RestoreOptions): string {
  if (archive.isEncrypted && identities === undefined) {
    const message = `${target} is encrypted; give the identity of one of its recipients with --identity`;
    throw new EvertreeError('IDENTITY_NEEDED', message, { target });
  }
  if (site !== undefined) return site;
  throw new EvertreeError('CONFIGURATION_INVALID', `the name of the site is not in ${target}; give one with --site`, { target });
}

/** @throws EvertreeError STORAGE_FULL if the disk certainly has too little room */
async function assertRoom(disk: Disk, { plainBytes, resumes }: RestoreForecast): Promise<void> {
  const { freeBytes } = await disk.space();
  if (resumes || freeBytes >= plainBytes) return;
  const message = `the disk has ${freeBytes} bytes of room, and what is restored needs ${plainBytes}; make room, or name a directory on another disk`;
  throw new EvertreeError('STORAGE_FULL', message, { freeBytes, neededBytes: plainBytes });
}
