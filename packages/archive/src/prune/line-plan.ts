import { type Position, formatPosition } from '@evertree/core';
import type { ArchivedObject, ArchiveLine, GapNote } from '../format/manifest.ts';
import { bucketOf, CALENDAR_RULES, type CalendarRule, DEFAULT_AT_LEAST, type KeepRules } from './keep-rules.ts';
import { type LineState, LineStates } from './line-states.ts';

/** What becomes of an entry of a line. */
export interface PlannedEntry {
  readonly entry: ArchivedObject;
  /** The rules that keep it, in words; empty: it is dropped. */
  readonly keptBy: readonly string[];
}

export interface PlanFacts {
  /** The target's time, milliseconds since 1970. */
  readonly time: number;
  /** The state that was drilled last. */
  readonly drilled: Position | undefined;
}

/** What the rules say of each entry of a line, in the line's order. */
export function planLine(line: ArchiveLine, rules: KeepRules, facts: PlanFacts): PlannedEntry[] {
  const kept = new KeptEntries(line, facts).run(rules);
  return line.objects.map(entry => ({ entry, keptBy: [...(kept.get(entry) ?? [])] }));
}

/** An entry is kept because a state needs it that a rule keeps. */
class KeptEntries {
  readonly #line: ArchiveLine;
  readonly #facts: PlanFacts;
  readonly #states: LineStates;
  readonly #kept = new Map<ArchivedObject, Set<string>>();

  constructor(line: ArchiveLine, facts: PlanFacts) {
    this.#line = line;
    this.#facts = facts;
    this.#states = new LineStates(line.id, line.objects);
  }

  run(rules: KeepRules): ReadonlyMap<ArchivedObject, ReadonlySet<string>> {
    const { states } = this.#states;
    const newest = states.at(-1);
    if (rules.all === true) this.#keep(this.#line.objects, 'all');
    // A tail may lead on from what can't be restored by itself.
    else if (newest === undefined) this.#keep(this.#line.objects, 'no state of the line can be made out');
    else {
      this.#keepState(newest.position.revision, 'the newest state');
      this.#keepLast(rules.last, `last ${rules.last}`);
      this.#keepWithin(rules.withinMs);
      for (const rule of CALENDAR_RULES) this.#keepCalendar(rule, rules[rule] ?? 0);
      this.#keepMarks();
      this.#keepDrilled();
      this.#keepAtLeast(rules.atLeast ?? DEFAULT_AT_LEAST);
    }
    return this.#kept;
  }

  #keepLast(count: number | undefined, rule: string): void {
    if (count === undefined) return;
    const oldest = this.#states.states.length > count ? this.#states.states.at(-count) : undefined;
    this.#keep(this.#states.needsFrom(oldest?.position.revision ?? 0), rule);
  }

  /**
   * Counts back from the newest state, as restic does. A state is within also if it came into the archive within: then
   * neither a clock that was wrong nor a backup that came late lets something go that nobody has had there for so long.
   */
  #keepWithin(withinMs: number | undefined): void {
    if (withinMs === undefined) return;
    const states = datedStates(this.#states.states, this.#facts.time);
    const newest = states.at(-1)!;
    const oldest = states.find(({ time, archived }) => time >= newest.time - withinMs || archived >= newest.archived - withinMs)!;
    // The moments before its end are within, too: back to the end of what comes before.
    const from = this.#states.before(oldest.state);
    this.#keep(this.#states.needsFrom(from.revision), `within ${durationText(withinMs)}`);
  }

  /** Of each day, week, … the last image; where it has none, its last state. By both of the times that a state has. */
  #keepCalendar(rule: CalendarRule, count: number): void {
    const states = datedStates(this.#states.states, this.#facts.time).toReversed();
    this.#keepBuckets(
      rule,
      count,
      states.map(({ state, time }) => ({ state, time })),
    );
    this.#keepBuckets(
      rule,
      count,
      states.map(({ state, seen }) => ({ state, time: seen })),
    );
  }

  /** @param states newest first, in the order of the chain */
  #keepBuckets(rule: CalendarRule, count: number, states: readonly { readonly state: LineState; readonly time: number }[]): void {
    const buckets = new Map<number, { readonly text: string; pick: LineState }>();
    for (const { state, time } of states) {
      const { number, text } = bucketOf(rule, time);
      const bucket = buckets.get(number);
      if (bucket === undefined && buckets.size === count) break;
      if (bucket === undefined) buckets.set(number, { text, pick: state });
      else if (state.isImage && !bucket.pick.isImage) bucket.pick = state;
    }
    for (const { text, pick } of buckets.values()) this.#keepState(pick.position.revision, `${rule}: ${text}`);
  }

  /** What the newest image tells of marks counts, and what was marked after it. */
  #keepMarks(): void {
    const newest = this.#line.objects.findLast(entry => entry.kind === 'image');
    const after = newest?.position.revision ?? 0;
    const stretches = this.#line.objects.filter(entry => entry.kind === 'stretch' && entry.last.revision > after);
    const later = stretches.flatMap(entry => (entry.kind === 'stretch' ? (entry.marked ?? entry.marks) : []));
    for (const revision of new Set([...(newest?.marks ?? []), ...later])) this.#keepState(revision, `the mark at revision ${revision}`);
  }

  #keepDrilled(): void {
    const { drilled } = this.#facts;
    if (drilled !== undefined) this.#keepState(drilled.revision, `drilled last: ${formatPosition(drilled)}`);
  }

  #keepAtLeast(count: number): void {
    const left = new LineStates(
      this.#line.id,
      this.#line.objects.filter(entry => this.#kept.has(entry)),
    );
    if (left.states.length < count) this.#keepLast(count, `at least ${count}`);
  }

  #keepState(revision: number, rule: string): void {
    this.#keep(this.#states.needsOf(revision) ?? [], rule);
  }

  #keep(entries: readonly ArchivedObject[], rule: string): void {
    for (const entry of entries) {
      const rules = this.#kept.get(entry);
      if (rules === undefined) this.#kept.set(entry, new Set([rule]));
      else rules.add(rule);
    }
  }
}

/** A state that was archived within this time of its commit is dated by its commit. */
const PROMPT_MS = 86_400_000;

/** Times of a state, milliseconds since 1970. None of them is behind the target's clock. */
interface DatedState {
  readonly state: LineState;
  /** Of its commit, but no later than `archived`, and no earlier than that of the state before. */
  readonly time: number;
  /** When it came into the archive. */
  readonly archived: number;
  /** Of its commit if it was archived promptly, else when it was archived. It depends on no other state. */
  readonly seen: number;
}

/**
 * Commit times may be forged, or come from a clock that was wrong; the order of the chain and the target's clock are what
 * can be relied on. By `time` alone a clock that once was behind would draw all that follows into one day; by `seen` alone
 * old history that was archived late would be of one day. So rules keep what either asks for.
 */
function datedStates(states: readonly LineState[], now: number): DatedState[] {
  let time = 0;
  let archived = 0;
  return states.map(state => {
    archived = Math.max(archived, Math.min(state.archived ?? now, now));
    time = Math.max(time, Math.min(state.time, archived));
    const isPrompt = state.time <= archived && state.time >= archived - PROMPT_MS;
    return { state, time, archived, seen: isPrompt ? state.time : archived };
  });
}

/** The line with what is kept. Holes that no gap tells of become gaps. */
export function prunedLine(line: ArchiveLine, plan: readonly PlannedEntry[], time: number): ArchiveLine {
  const objects = plan.filter(({ keptBy }) => keptBy.length > 0).map(({ entry }) => entry);
  if (objects.length === line.objects.length) return line;
  return { ...line, objects, gaps: gapsOf(line, objects, time) };
}

function gapsOf({ id, gaps }: ArchiveLine, objects: ArchiveLine['objects'], time: number): GapNote[] {
  const { segments } = new LineStates(id, objects);
  const holes = segments.slice(1).map(({ from: to }, index): GapNote => {
    const from = segments[index]!.to;
    const known = gaps.find(gap => gap.from.revision === from.revision && gap.to.revision === to.revision);
    return known ?? { from, to, reason: 'pruned', time };
  });
  const end = segments.at(-1)?.to.revision ?? 0;
  return [...holes, ...gaps.filter(({ from }) => from.revision >= end)];
}

const UNITS: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

function durationText(ms: number): string {
  const [name, unit] = UNITS.find(([, each]) => ms % each === 0) ?? ['ms', 1];
  return `${ms / unit} ${name}`;
}
