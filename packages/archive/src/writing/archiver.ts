import type { Clock, ExactPosition, Random } from '@evertree/core';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import type { Sealing } from '../encryption/sealing.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiveSource } from './archive-source.ts';
import { siteId } from './archive-use.ts';
import type { ArchiverEvents, ArchiverOptions, BackupResult } from './archiver-options.ts';
import { FollowedLine } from './followed-line.ts';
import type { LineFile } from './line-file.ts';
import { HistoryMoved, MOVES_LIMIT, unreadableJournal } from './history-moved.ts';
import { LineWriter } from './line-writer.ts';
import { LineLost } from './object-writer.ts';
import { PatientTarget } from './patient-target.ts';
import { ProgressBoard } from './progress-board.ts';
import { HeadPublisher } from '../publishing/head-publisher.ts';
import { SpoolWatch } from './spool-watch.ts';

/** After a failure that is not the target's it begins anew after this time, growing up to the second. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** Without news it looks after this time whether something is due. */
const IDLE_MS = 10_000;

export interface ArchiverParts {
  readonly target: Target;
  readonly source: ArchiveSource;
  readonly lines: LineFile;
  readonly sealing: Sealing;
  readonly clock: Clock;
  readonly random: Random;
  readonly options: ArchiverOptions;
  readonly events: ArchiverEvents;
  /** From there on the history is held already, for an archive that was written before. */
  readonly held?: ExactPosition | undefined;
}

/** Somebody waits for a backup. */
interface Request {
  readonly done: PromiseWithResolvers<BackupResult>;
  readonly begun: number;
}

/**
 * Archives the history of a running site as it grows, for as long as the site runs. Nothing that the target does ends it:
 * it tries again for ever, and goes on exactly where it was.
 */
export class Archiver implements AsyncDisposable {
  readonly #parts: ArchiverParts;
  readonly #target: PatientTarget;
  readonly #publisher: HeadPublisher;
  readonly #board: ProgressBoard;
  readonly #spool: SpoolWatch;
  readonly #closing = Promise.withResolvers<void>();
  #isClosed = false;
  /** Resolved when there may be something to do. */
  #news = Promise.withResolvers<void>();
  /** Resolved when somebody waits for a backup. */
  #asked = Promise.withResolvers<void>();
  #requests: Request[] = [];
  #line: FollowedLine | undefined;
  /** The failure that was told last. */
  #told: string | undefined;
  #running: Promise<void> | undefined;

  constructor(parts: ArchiverParts) {
    const { target, clock, random, options, sealing, events } = parts;
    this.#parts = parts;
    this.#target = new PatientTarget(target, {
      clock,
      random,
      failed: (error, attempts) => this.#failed('away', error, attempts),
      succeeded: () => {
        this.#isBack();
        // What came back may be another place of that name.
        this.#line?.doubt();
      },
    });
    this.#publisher = new HeadPublisher({ target: this.#target, clock, random });
    this.#board = new ProgressBoard(clock, { spoolMaxBytes: options.spoolMaxBytes, encrypted: sealing !== 'plain' }, events.progress);
    this.#spool = new SpoolWatch({
      ...parts,
      board: this.#board,
      archive: () => this.#line?.owner.archive ?? parts.lines.archiveIn(target.name),
      archived: () => this.#line?.end.position,
      held: parts.held,
    });
  }

  /** Begins. What goes wrong is told by the events. */
  start(): void {
    this.#running ??= Promise.all([this.#run(), this.#spool.run()]).then(() => undefined);
  }

  /** There may be something new. */
  noticed(): void {
    this.#news.resolve();
  }

  /**
   * Archives everything that is stable now, and publishes it as stretches.
   * @throws EvertreeError why it is not possible at present
   */
  backup(): Promise<BackupResult> {
    const { lastError } = this.#board.now;
    if (lastError !== null) return Promise.reject(new EvertreeError('UNREACHABLE', lastError.message, { code: lastError.code }));
    if (this.#isClosed) return Promise.reject(closed());
    const done = Promise.withResolvers<BackupResult>();
    this.#requests.push({ done, begun: this.#parts.clock.monotonic() });
    this.noticed();
    this.#asked.resolve();
    return done.promise;
  }

  /** Gives up what is under way: the next start goes on from there. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.resolve();
    this.#target.close();
    this.#spool.close();
    this.#refuse(closed());
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#isClosed;) {
      try {
        await this.#follow(() => (failures = 0));
      } catch (error) {
        if (this.#isClosed) return;
        this.#ended(error, ++failures);
      }
      await this.#line?.abandon();
      this.#line = undefined;
      if (failures > 0) await this.#pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 8)), this.#closing.promise);
    }
  }

  /** Opens the line and follows the history, until that can't go on. */
  async #follow(opened: () => void): Promise<void> {
    let plainBefore = 0;
    const writer = await LineWriter.open({
      ...this.#parts,
      target: this.#target,
      publisher: this.#publisher,
      wasFull: () => this.#board.now.spool.isFull,
      published: ({ end, counts: { objects, bytes, plainBytes, commits } }) => {
        this.#spool.taken(end.position, plainBytes - plainBefore);
        plainBefore = plainBytes;
        this.#board.reached(end, { written: { objects, bytes, plainBytes, commits } });
      },
    });
    if (writer === undefined) return this.#wait();
    const { archive, line } = writer.owner;
    const { position = null, time = null } = writer.endBefore ?? {};
    this.#board.set({ archive, line, position, time });
    await writer.catchUp();
    const { board, spool } = { board: this.#board, spool: this.#spool };
    const site = siteId(archive, this.#parts.source.site);
    this.#line = await FollowedLine.begin({ ...this.#parts, writer, site, board, spool });
    opened();
    this.#isBack();
    await this.#loop(this.#line);
  }

  async #loop(line: FollowedLine): Promise<void> {
    const { clock, options } = this.#parts;
    while (!this.#isClosed) {
      this.#news = Promise.withResolvers();
      this.#asked = Promise.withResolvers();
      const begun = clock.monotonic();
      const requests = [...this.#requests];
      await line.advance(requests.length > 0);
      for (const { done, begun: asked } of requests) done.resolve(line.result(Math.round(clock.monotonic() - asked)));
      this.#requests = this.#requests.filter(request => !requests.includes(request));
      if (this.#requests.length > 0) continue;
      await this.#pause(IDLE_MS, this.#news.promise);
      if (this.#requests.length === 0) await this.#pause(options.everyMs - (clock.monotonic() - begun), this.#asked.promise);
    }
  }

  async #wait(): Promise<void> {
    this.#board.set({ state: 'waiting', lastError: null });
    this.#refuse(new EvertreeError('NOT_FOUND', `${this.#parts.source.site} has no commit yet: there is nothing to back up`));
    this.#news = Promise.withResolvers();
    await this.#pause(IDLE_MS, this.#news.promise);
  }

  /** The line could not be followed any further. */
  #ended(error: unknown, attempts: number): void {
    if (error instanceof HistoryMoved) {
      if (attempts > MOVES_LIMIT) this.#failed('refused', unreadableJournal(this.#parts, error), attempts);
      return;
    }
    const { target, source } = this.#parts;
    if (error instanceof LineLost) {
      const message = `${source.site} does not write its line in the archive ${target.name} any more: ${error.message}`;
      return this.#parts.events.report({ level: 'warn', event: 'archive-line-lost', message, details: error.details });
    }
    // A fault of the program ends no site; it is told as any other failure.
    const failure = isEvertreeError(error) ? error : new EvertreeError('STORAGE_FAILED', String(error), {}, error);
    this.#failed('refused', failure, attempts);
  }

  #failed(state: 'away' | 'refused', error: EvertreeError, attempts: number): void {
    this.#board.failed(state, error, attempts);
    this.#refuse(error);
    if (this.#told === error.message || (state === 'away' && attempts > 1)) return;
    this.#told = error.message;
    const { target, source, events } = this.#parts;
    const end = state === 'away' ? 'its commits wait in the journal, and it is tried again' : 'it is looked at again now and then';
    const message = `nothing of ${source.site} is archived to ${target.name} at present: ${error.message}; ${end}`;
    events.report({
      level: state === 'away' ? 'warn' : 'error',
      event: `archive-${state}`,
      message,
      details: { target: target.name, code: error.code, error },
    });
  }

  #isBack(): void {
    const wasAway = this.#told !== undefined;
    this.#told = undefined;
    this.#board.set({ state: this.#line === undefined ? 'starting' : 'archiving', lastError: null });
    if (!wasAway) return;
    const { target, source, events } = this.#parts;
    events.report({ level: 'info', event: 'archive-back', message: `${source.site} archives to ${target.name} again` });
  }

  #refuse(error: EvertreeError): void {
    for (const { done } of this.#requests.splice(0)) done.reject(error);
  }

  /** @param interrupted ends the pause when it resolves */
  async #pause(milliseconds: number, interrupted: Promise<void>): Promise<void> {
    if (milliseconds <= 0 || this.#isClosed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#parts.clock.after(milliseconds, resolve);
    await Promise.race([promise, interrupted, this.#closing.promise]);
    timer[Symbol.dispose]();
  }
}

function closed(): EvertreeError {
  return new EvertreeError('CLOSED', 'the archiving was closed');
}
