import { EvertreeError } from '../errors.ts';
import type { FrameSchedule } from './frame-schedule.ts';
import type { History } from './history.ts';
import { checkMarkName, checkRoom, positionIn, type Mark } from '../marks.ts';
import { formatPosition, type Position } from '../position.ts';
import type { Reporter } from '../seams/host.ts';
import { checkCommitOptions, type Commit, type CommitOptions } from '../transactions/commit.ts';
import type { WriteGate } from './write-gate.ts';

export interface MarkOptions extends CommitOptions {
  /** The state that gets the name: a position of this history; by default the present one. */
  readonly at?: Position;
  /** Moves the name if another state has it; otherwise that throws MARK_EXISTS. */
  readonly move?: boolean;
}

export interface MarkingParts {
  readonly history: History;
  readonly gate: WriteGate;
  readonly report: Reporter;
  /** Cuts what was committed, and tells nobody. */
  readonly cut: () => void;
  /** The commit of a mark frame that was just appended. */
  readonly made: () => Commit;
  /** Tells of a frame. */
  readonly advanced: () => void;
  readonly schedule: Pick<FrameSchedule, 'appended'>;
}

/** Names states of the history, with frames of their own. The methods are those of the Store, which see. */
export class Marking {
  readonly #parts: MarkingParts;

  constructor(parts: MarkingParts) {
    this.#parts = parts;
  }

  mark(name: string, options: MarkOptions): Commit {
    const { history, report, cut } = this.#parts;
    const { at, move = false, author, message } = options;
    this.#assertMay(options);
    checkMarkName(name);
    const named = at === undefined ? undefined : positionIn(history, at);
    const moved = checkRoom(history.marks, { name, move });
    cut();
    history.mark(name, named?.revision, { author, message });
    if (moved !== undefined) report({ level: 'warn', event: 'mark-moved', message: explainMove(moved, history.marks.at(-1)!) });
    return this.#appended();
  }

  unmark(name: string, options: CommitOptions): Commit {
    const { history, cut } = this.#parts;
    this.#assertMay(options);
    if (!history.marks.some(mark => mark.name === name)) {
      throw new EvertreeError('NOT_FOUND', `there is no mark ${JSON.stringify(name.slice(0, 60))}`, { name });
    }
    cut();
    history.unmark(name, { author: options.author, message: options.message });
    return this.#appended();
  }

  #appended(): Commit {
    const { made, advanced, schedule } = this.#parts;
    const commit = made();
    advanced();
    schedule.appended();
    return commit;
  }

  #assertMay(options: CommitOptions): void {
    this.#parts.gate.assertWritable();
    checkCommitOptions(options, this.#parts.history.last);
  }
}

function explainMove({ name, position: before }: Mark, { position }: Mark): string {
  return `the mark ${JSON.stringify(name)} was moved: it names ${formatPosition(position)}, and named ${formatPosition(before)} before`;
}
