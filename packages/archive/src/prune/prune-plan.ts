import { EvertreeError, formatPosition } from '@evertree/core';
import type { ArchiveLine, CondemnedObject, Manifest } from '../format/manifest.ts';
import type { HeadState } from '../publishing/head-state.ts';
import { type NamedObject, NamedObjects, objectsOf } from '../publishing/named-objects.ts';
import { highestArchivedEpoch } from '../restore/restore-epoch.ts';
import type { ListedObject } from '../targets/target.ts';
import type { KeepRules } from './keep-rules.ts';
import { type PlannedEntry, planLine, prunedLine } from './line-plan.ts';
import { LineStates } from './line-states.ts';
import { unnamedObjects } from './unnamed-objects.ts';

/** A line counts as written for so long after something came into it. */
const WRITTEN_MS = 7 * 86_400_000;

/** What prune is asked for. */
export interface PruneRequest {
  readonly rules: KeepRules;
  /** Only these lines are thinned out: their ids, or how they begin. */
  readonly lines?: readonly string[];
  /** Also those that nobody writes any more. */
  readonly allLines?: boolean;
  /** Lines that go whole. */
  readonly dropLines?: readonly string[];
}

/** What becomes of a line. */
export interface LinePlan {
  readonly line: ArchiveLine;
  /** Whether a site may still extend it: it is the newest of its site, or something came into it in the last week. */
  readonly isWritten: boolean;
  /**
   * - `pruned`: by the rules.
   * - `left`: it was not asked for.
   * - `dropped`: all of it.
   */
  readonly fate: 'pruned' | 'left' | 'dropped';
  readonly entries: readonly PlannedEntry[];
  /** Undefined if it is dropped. */
  readonly next: ArchiveLine | undefined;
}

/** What becomes of an archive; nothing of it has been done. */
export interface PrunePlan {
  readonly lines: readonly LinePlan[];
  /** What no line needs any more. */
  readonly dropped: readonly NamedObject[];
  /** What no manifest names. */
  readonly unnamed: readonly NamedObject[];
  /** What is to be condemned from now on, and was before. */
  readonly condemned: readonly CondemnedObject[];
  readonly isChange: boolean;
}

/**
 * Decides from what counts, and from nothing else. So a dry run says what a real one does.
 * @param listed before the state was read
 * @throws EvertreeError NOT_FOUND for a line that is not there, FORBIDDEN for one that must not be dropped
 */
export function planPrune(
  state: HeadState & { readonly manifest: Manifest },
  listed: readonly ListedObject[],
  request: PruneRequest,
  leastAgeMs: number,
): PrunePlan {
  const { manifest, time } = state;
  const choice = new LineChoice(state, request);
  const lines = manifest.lines.map(line => linePlan(line, choice, state, request));
  const next = lines.flatMap(plan => (plan.next === undefined ? [] : [plan.next]));
  const named = new NamedObjects({ lines: next });
  const dropped = lines
    .flatMap(({ entries }) => entries.filter(({ keptBy }) => keptBy.length === 0).flatMap(({ entry }) => objectsOf(entry)))
    .filter(({ path }) => !named.has(path));
  const before = withoutNamed(manifest.condemned, named);
  const condemned = [...before, ...dropped.map(({ path, bytes }) => ({ path, bytes, since: time }))];
  const unnamed = unnamedObjects(listed, state, { lines: next, condemned }, leastAgeMs);
  const isChange = unnamed.length > 0 || before !== manifest.condemned || lines.some(plan => plan.next !== plan.line);
  return {
    lines,
    dropped,
    unnamed,
    condemned: [...condemned, ...unnamed.map(({ path, bytes }) => ({ path, bytes, since: time }))],
    isChange,
  };
}

/** What was condemned and is named all the same stays: no program does that. */
function withoutNamed(condemned: readonly CondemnedObject[], named: NamedObjects): readonly CondemnedObject[] {
  const isNamed = ({ path, numbers }: CondemnedObject) =>
    numbers === undefined ? named.has(path) : (named.tailFrom(path) ?? Infinity) <= numbers[1];
  return condemned.some(isNamed) ? condemned.filter(entry => !isNamed(entry)) : condemned;
}

function linePlan(line: ArchiveLine, choice: LineChoice, state: HeadState, { rules }: PruneRequest): LinePlan {
  const [isWritten, fate] = [choice.isWritten(line), choice.fateOf(line)];
  if (fate === 'dropped') {
    choice.assertDroppable(line);
    return { line, isWritten, fate, entries: line.objects.map(entry => ({ entry, keptBy: [] })), next: undefined };
  }
  if (fate === 'left')
    return { line, isWritten, fate, entries: line.objects.map(entry => ({ entry, keptBy: ['its line was not asked for'] })), next: line };
  const entries = planLine(line, rules, { time: state.time, drilled: state.head.drilled?.position });
  return { line, isWritten, fate, entries, next: prunedLine(line, entries, state.time) };
}

/** Which lines were asked for. */
class LineChoice {
  readonly #lines: readonly ArchiveLine[];
  readonly #state: HeadState & { readonly manifest: Manifest };
  readonly #allLines: boolean;
  readonly #asked: ReadonlySet<ArchiveLine>;
  readonly #dropped: ReadonlySet<ArchiveLine>;

  constructor(state: HeadState & { readonly manifest: Manifest }, { lines = [], dropLines = [], allLines = false }: PruneRequest) {
    this.#lines = state.manifest.lines;
    this.#state = state;
    this.#allLines = allLines;
    this.#asked = new Set(lines.map(id => this.#find(id)));
    this.#dropped = new Set(dropLines.map(id => this.#find(id)));
  }

  isWritten(line: ArchiveLine): boolean {
    if (this.#lines.findLast(({ site }) => site === line.site) === line) return true;
    return line.objects.some(({ archived = this.#state.time }) => archived > this.#state.time - WRITTEN_MS);
  }

  fateOf(line: ArchiveLine): LinePlan['fate'] {
    if (this.#dropped.has(line)) return 'dropped';
    if (this.#asked.size > 0) return this.#asked.has(line) ? 'pruned' : 'left';
    return this.#allLines || this.isWritten(line) ? 'pruned' : 'left';
  }

  assertDroppable(line: ArchiveLine): void {
    const refused = (why: string) => {
      const message = `the line ${line.id} is not dropped: ${why}`;
      return new EvertreeError('FORBIDDEN', message, { line: line.id });
    };
    if (this.isWritten(line)) {
      throw refused('it is the newest line of its site, or something came into it in the last 7 days, so a site may still write it');
    }
    const rest = this.#lines.filter(other => !this.#dropped.has(other));
    const [highest, left] = [[line], rest].map(lines => highestArchivedEpoch({ lines }, [])) as [number, number];
    if (highest > left) {
      throw refused(`it alone tells of epoch ${highest}, and a restore begins an epoch above all that the archive tells of`);
    }
    const { drilled } = this.#state.head;
    if (drilled === null || !this.#holds(line, drilled.position.revision)) return;
    if (rest.some(other => this.#holds(other, drilled.position.revision))) return;
    throw refused(`it alone has the state that was drilled last, ${formatPosition(drilled.position)}; drill another one first`);
  }

  #holds(line: ArchiveLine, revision: number): boolean {
    return new LineStates(line.id, line.objects).needsOf(revision) !== undefined;
  }

  #find(id: string): ArchiveLine {
    const found = this.#lines.filter(line => line.id.startsWith(id));
    if (id.length >= 4 && found.length === 1) return found[0]!;
    const ids = this.#lines.map(line => line.id).join(', ');
    const why =
      found.length > 1 || id.length < 4 ? `${JSON.stringify(id)} is not enough to name one line` : `there is no line ${JSON.stringify(id)}`;
    throw new EvertreeError('NOT_FOUND', `${why}; the archive has ${ids}`, { line: id });
  }
}
