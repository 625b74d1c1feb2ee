import { isDeepStrictEqual } from 'node:util';
import { formatPosition } from '@evertree/core';
import type { Batch, Position, Store } from '@evertree/core';
import type { Chance } from './chance.ts';
import type { SimulatedProcess } from './machine.ts';

/** What listeners watch: some see whole objects, the others what becomes of each value in one. */
const PATTERNS = ['/c', '/latest/*', '/large/ids', '/large/content/*'] as const;
type Pattern = (typeof PATTERNS)[number];
/** In how many of its calls a listener takes its time, and how long. */
const SLOW_SHARE = 0.2;
const SLOW_MS = 30;
const DESCRIBED_CHARACTERS = 200;

interface Listener {
  readonly name: string;
  readonly pattern: Pattern;
  /** What it was told last, by path. */
  readonly told: Map<string, unknown>;
  /** Where it was told to. */
  position: Position | undefined;
  readonly ends: Disposable;
}

/**
 * The listeners of a process. Each keeps what it is told, and compares what it is told of the state before with that:
 * nothing may be missing, told twice, or out of order.
 */
export class Listening {
  readonly #store: Store;
  readonly #process: SimulatedProcess;
  readonly #chance: Chance;
  readonly #violated: (what: string) => void;
  readonly #listeners: Listener[] = [];
  #added = 0;

  constructor(store: Store, process: SimulatedProcess, chance: Chance, violated: (what: string) => void) {
    this.#store = store;
    this.#process = process;
    this.#chance = chance;
    this.#violated = violated;
  }

  add(): void {
    const pattern = this.#chance.pick(PATTERNS);
    const listener: Listener = {
      name: `listener ${this.#added++} of ${this.#store.site} on ${pattern}`,
      pattern,
      told: new Map(),
      position: undefined,
      ends: this.#store.listen(pattern, batch => this.#take(listener, batch)),
    };
    this.#listeners.push(listener);
  }

  /** The one that was added first ends. */
  remove(): void {
    this.#listeners.shift()?.ends[Symbol.dispose]();
  }

  /** Why a listener was not told of the present state; undefined if all were. */
  get missing(): string | undefined {
    for (const { name, pattern, told, position } of this.#listeners) {
      const present = presentAt(this.#store, pattern);
      if (isDeepStrictEqual(told, present)) continue;
      const at = position === undefined ? 'nothing' : formatPosition(position);
      return `${name} was told ${describe(told)} up to ${at}, and ${describe(present)} is there`;
    }
    return undefined;
  }

  #take(listener: Listener, { initial, from, position, changes }: Batch): Promise<void> | void {
    const { told, name } = listener;
    if (initial !== (listener.position === undefined)) this.#violated(`${name} is told its first state ${initial ? 'again' : 'too late'}`);
    listener.position = position;
    for (const { path, type, before, after } of changes) {
      const known = told.get(path);
      if (!initial && !isDeepStrictEqual(before, known)) {
        const [was, knew] = [before, known].map(value => JSON.stringify(value)?.slice(0, DESCRIBED_CHARACTERS));
        this.#violated(`${name} is told that ${path} was ${was} at ${formatPosition(from)}, and knows ${knew}`);
      }
      if ((type === 'delete') !== (after === undefined)) this.#violated(`${name} is told of a ${type} of ${path}`);
      if (after === undefined) told.delete(path);
      else told.set(path, after);
    }
    if (!this.#chance.happens(SLOW_SHARE)) return undefined;
    return new Promise(resolve => void this.#process.clock.after(this.#chance.between(0, SLOW_MS), resolve));
  }
}

function presentAt(store: Store, pattern: Pattern): ReadonlyMap<string, unknown> {
  if (!pattern.endsWith('/*')) {
    const value = store.get(pattern);
    return new Map(value === undefined ? [] : [[pattern, value]]);
  }
  const parent = pattern.slice(0, -2);
  return new Map(Object.entries(store.get<Record<string, unknown>>(parent) ?? {}).map(([key, value]) => [`${parent}/${key}`, value]));
}

function describe(values: ReadonlyMap<string, unknown>): string {
  return JSON.stringify(Object.fromEntries(values)).slice(0, DESCRIBED_CHARACTERS);
}
