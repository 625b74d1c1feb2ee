import type { Clock, ExactPosition } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import type { ArchiveSource } from './archive-source.ts';
import type { ArchiverEvents, ArchiverOptions } from './archiver-options.ts';
import type { ProgressBoard } from './progress-board.ts';
import { SpoolMeter } from './spool-meter.ts';

/** It looks so often. */
const LOOK_MS = 1_000;

export interface SpoolWatchParts {
  readonly source: ArchiveSource;
  readonly clock: Clock;
  readonly options: ArchiverOptions;
  readonly events: Pick<ArchiverEvents, 'report' | 'lease'>;
  readonly board: ProgressBoard;
  /** The archive that the history is held for; undefined if it is not known. */
  readonly archive: () => string | undefined;
  /** Everything up to there is archived; undefined while the line is not open. */
  readonly archived: () => ExactPosition | undefined;
  /** From there on the history was held when this began, for an archive that was written before. */
  readonly held: ExactPosition | undefined;
}

/**
 * Bounds what the journal is held for the archive: beyond the bound the lease moves to the present, so that retention may
 * drop what waits. If it does, a gap follows.
 */
export class SpoolWatch {
  readonly #parts: SpoolWatchParts;
  readonly #closing = Promise.withResolvers<void>();
  #isClosed = false;
  /** Undefined until something was stable. */
  #meter: SpoolMeter | undefined;
  /** The revision that was stable when all before it was seen to be archived last, and when that was. */
  #due: { readonly revision: number; readonly at: number } | undefined;
  /** The spool is full until all up to this revision is archived: from there on it is held. */
  #fullUpTo = 0;

  constructor(parts: SpoolWatchParts) {
    this.#parts = parts;
  }

  /** Looks until it is closed. */
  async run(): Promise<void> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#parts.clock.after(LOOK_MS, resolve);
      await Promise.race([promise, this.#closing.promise]);
      timer[Symbol.dispose]();
      if (this.#isClosed) return;
      try {
        await this.#look();
      } catch {
        // The journal was changed under it: it counts again the next time.
      }
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#closing.resolve();
  }

  /** An object with so many bytes of frames was archived. */
  taken(upTo: ExactPosition, bytes: number): void {
    this.#meter?.taken(upTo, bytes);
    const { spool } = this.#parts.board.now;
    const isFull = spool.isFull && upTo.revision < this.#fullUpTo;
    if (spool.bytes === 0 && isFull === spool.isFull) return;
    this.#parts.board.set({ spool: { ...spool, bytes: this.#meter?.bytes ?? 0, isFull } });
  }

  /** The line was caught up with: all that is needed is held again. */
  released(): void {
    this.#due = undefined;
    this.#meter = undefined;
    const { spool } = this.#parts.board.now;
    this.#parts.board.set({ spool: { ...spool, bytes: 0, isFull: false } });
  }

  async #look(): Promise<void> {
    const { source, options, board, archived, held } = this.#parts;
    const { stream, base, stable } = await source.extent();
    if (stream === undefined || this.#keepsUp(stable)) return;
    this.#meter ??= new SpoolMeter(archived() ?? held ?? stable);
    if (this.#meter.at.revision < base.revision) this.#meter.reset(base);
    if (this.#meter.at.revision > stable.revision) this.#meter.reset(stable);
    await this.#meter.count(after => source.frames(after));
    if (this.#meter.bytes !== board.now.spool.bytes) board.set({ spool: { ...board.now.spool, bytes: this.#meter.bytes } });
    if (this.#meter.bytes > options.spoolMaxBytes) this.#overflow(this.#meter, stable);
  }

  /**
   * While all goes well nothing is counted: what is new is archived as soon as it could be counted. A target that takes
   * something now and then, and less than is committed, is not well.
   */
  #keepsUp({ revision }: ExactPosition): boolean {
    const { clock, options, archived } = this.#parts;
    const end = archived();
    if (end === undefined) return false;
    const now = clock.monotonic();
    if (this.#due === undefined || end.revision >= this.#due.revision) this.#due = { revision, at: now };
    return now - this.#due.at < LOOK_MS + 2 * options.everyMs;
  }

  #overflow(meter: SpoolMeter, stable: ExactPosition): void {
    const { events, board, options, archive } = this.#parts;
    const name = archive();
    if (name !== undefined) events.lease({ name, position: stable });
    const message = `${meter.bytes} bytes of commits wait for the archive, more than the ${options.spoolMaxBytes} of its spool: the history up to ${formatPosition(stable)} is not held for it any more; what retention drops of it will be a gap in the archive`;
    events.report({ level: 'error', event: 'archive-spool-full', message, details: { bytes: meter.bytes, position: stable } });
    meter.reset(stable);
    this.#fullUpTo = stable.revision;
    board.set({ spool: { ...board.now.spool, bytes: 0, isFull: true } });
  }
}
