import { createHash } from 'node:crypto';
import type { ListedObject, ObjectStat, Target, TargetObject } from '@evertree/archive';
import { assertObjectKey } from '@evertree/archive';
import type { Clock, ErrorCode } from '@evertree/core';
import { EvertreeError } from '@evertree/core';

export type TargetOperation = 'get' | 'stat' | 'create' | 'replace' | 'remove' | 'list' | 'now';

/** A failure that a test plants. */
export interface TargetFault {
  /** Without it: of any operation. */
  readonly operation?: TargetOperation;
  /** Only for keys that match; for `remove` one of them, for `list` the prefix. */
  readonly key?: RegExp;
  /** Lets so many matching calls through first. */
  readonly after?: number;
  /** How many times; without it, every time. */
  readonly times?: number;
  /** UNREACHABLE if it is left out. */
  readonly code?: ErrorCode;
  /** The call takes effect, and only its answer is lost. */
  readonly tookEffect?: boolean;
}

export interface MemoryTargetOptions {
  /** Its time is the target's. Without it time is counted: a millisecond a call. */
  readonly clock?: Clock;
  /** How far the target's time is ahead of the clock's. */
  readonly skewMs?: number;
  /** How long a call takes on the clock. */
  readonly latencyMs?: number;
  /** As a service that answers «created» and «replaced» whatever the conditions say. */
  readonly ignoresConditions?: boolean;
  /** Keys that one page of a list has; what comes and goes between two pages is seen. */
  readonly pageKeys?: number;
  /** More bytes are refused with STORAGE_FULL. */
  readonly capacityBytes?: number;
  readonly name?: string;
}

interface KeptObject {
  readonly bytes: Buffer;
  readonly modified: number;
}

/** A target in memory, for tests of what uses one: faults on demand, virtual time, no disk. */
export class MemoryTarget implements Target {
  readonly name: string;
  /** What is in it; a test may look, damage and remove. */
  readonly objects: Map<string, KeptObject>;
  /** Every call, in order: `create tail/1/0000000001`. */
  readonly calls: string[] = [];
  readonly #options: MemoryTargetOptions;
  #faults: (TargetFault & { skips: number; left: number })[] = [];
  #holds: { readonly matches: (operation: TargetOperation, keys: readonly string[]) => boolean; readonly released: Promise<void> }[] = [];
  #countedMs = 1_700_000_000_000;
  #lastWrite = Infinity;
  #writes = 0;
  #dead = false;

  constructor(options: MemoryTargetOptions = {}, objects = new Map<string, KeptObject>()) {
    this.#options = options;
    this.objects = objects;
    this.name = options.name ?? 's3://in-memory/archive';
  }

  // What a test does to it

  /** Another client of the same target, for a second writer, or for the process that starts after a death. */
  client(options: Partial<MemoryTargetOptions> = {}): MemoryTarget {
    return new MemoryTarget({ ...this.#options, ...options }, this.objects);
  }

  fail(fault: TargetFault): Disposable {
    const entry = { ...fault, skips: fault.after ?? 0, left: fault.times ?? Infinity };
    this.#faults.push(entry);
    return { [Symbol.dispose]: () => void (this.#faults = this.#faults.filter(other => other !== entry)) };
  }

  /** Holds calls back until the returned function is called. */
  hold(operation: TargetOperation, key = /./): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry = {
      matches: (called: TargetOperation, keys: readonly string[]) => called === operation && keys.some(each => key.test(each)),
      released: promise,
    };
    this.#holds.push(entry);
    return () => {
      this.#holds = this.#holds.filter(other => other !== entry);
      resolve();
    };
  }

  /** The process dies before its write after the next `writes` ones; all later calls fail. */
  dieAfter(writes: number): void {
    this.#lastWrite = this.#writes + writes;
  }

  get isDead(): boolean {
    return this.#dead;
  }

  /** Writes so far: calls of create, replace and remove. */
  get writes(): number {
    return this.#writes;
  }

  get keys(): string[] {
    return [...this.objects.keys()].toSorted();
  }

  bytes(key: string): Buffer {
    const kept = this.objects.get(key);
    if (kept === undefined) throw new Error(`there is no object ${key}`);
    return kept.bytes;
  }

  /** Changes an object without the program, as a damage does. */
  overwrite(key: string, change: (bytes: Buffer) => Buffer): void {
    const { modified } = this.objects.get(key)!;
    this.objects.set(key, { bytes: Buffer.from(change(Buffer.from(this.bytes(key)))), modified });
  }

  // The seam

  get(key: string): Promise<TargetObject | undefined> {
    return this.#call('get', [key], () => {
      const kept = this.objects.get(key);
      return kept === undefined ? undefined : { bytes: Buffer.from(kept.bytes), tag: tagOf(kept.bytes) };
    });
  }

  stat(key: string): Promise<ObjectStat | undefined> {
    return this.#call('stat', [key], () => {
      const kept = this.objects.get(key);
      return kept === undefined ? undefined : { size: kept.bytes.length, modified: kept.modified };
    });
  }

  create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#call('create', [key], () => {
      if (this.objects.has(key) && this.#options.ignoresConditions !== true) return 'exists';
      this.#keep(key, bytes);
      return 'created';
    });
  }

  replace(key: string, bytes: Uint8Array, tag: string | undefined): Promise<{ readonly tag: string } | 'changed'> {
    return this.#call('replace', [key], () => {
      const kept = this.objects.get(key);
      const present = kept === undefined ? undefined : tagOf(kept.bytes);
      if (present !== tag && this.#options.ignoresConditions !== true) return 'changed';
      this.#keep(key, bytes);
      return { tag: tagOf(bytes) };
    });
  }

  remove(keys: readonly string[]): Promise<void> {
    return this.#call('remove', keys, () => {
      for (const key of keys) this.objects.delete(key);
    });
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    const { pageKeys = 1000 } = this.#options;
    for (let after = ''; ;) {
      const page = await this.#call('list', [prefix], () =>
        this.keys
          .filter(key => key.startsWith(prefix) && key > after)
          .slice(0, pageKeys)
          .map(key => this.#listed(key)),
      );
      yield* page;
      if (page.length < pageKeys) return;
      after = page.at(-1)!.key;
    }
  }

  now(): Promise<number> {
    return this.#call('now', [''], () => this.#now());
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #listed(key: string): ListedObject {
    const { bytes, modified } = this.objects.get(key)!;
    return { key, size: bytes.length, modified };
  }

  #keep(key: string, bytes: Uint8Array): void {
    const used = [...this.objects.values()].reduce((sum, kept) => sum + kept.bytes.length, 0);
    if (used + bytes.length > (this.#options.capacityBytes ?? Infinity)) throw planted('STORAGE_FULL', 'create', [key]);
    this.objects.set(key, { bytes: Buffer.from(bytes), modified: this.#now() });
  }

  #now(): number {
    const { clock, skewMs = 0 } = this.#options;
    return (clock?.now() ?? this.#countedMs) + skewMs;
  }

  async #call<T>(operation: TargetOperation, keys: readonly string[], act: () => T): Promise<T> {
    this.#assertAlive();
    if (operation !== 'list' && operation !== 'now') for (const key of keys) assertObjectKey(key);
    this.calls.push(`${operation} ${keys.join(' ')}`.trim());
    this.#countedMs++;
    const { clock, latencyMs } = this.#options;
    if (clock !== undefined && latencyMs !== undefined) await new Promise<void>(resolve => void clock.after(latencyMs, resolve));
    else await Promise.resolve();
    for (const hold of this.#holds) if (hold.matches(operation, keys)) await hold.released;
    this.#assertAlive();
    this.#countWrite(operation);
    const taken = this.#takeFault(operation, keys);
    if (taken !== undefined && taken.tookEffect !== true) throw planted(taken.code, operation, keys);
    const done = act();
    if (taken !== undefined) throw planted(taken.code, operation, keys);
    return done;
  }

  #countWrite(operation: TargetOperation): void {
    if (operation !== 'create' && operation !== 'replace' && operation !== 'remove') return;
    if (this.#writes >= this.#lastWrite) this.#dead = true;
    this.#assertAlive();
    this.#writes++;
  }

  #takeFault(operation: TargetOperation, keys: readonly string[]): TargetFault | undefined {
    for (const entry of this.#faults) {
      if (entry.operation !== undefined && entry.operation !== operation) continue;
      if (entry.key !== undefined && !keys.some(key => entry.key?.test(key))) continue;
      if (entry.left <= 0 || entry.skips-- > 0) continue;
      entry.left--;
      return entry;
    }
    return undefined;
  }

  #assertAlive(): void {
    if (this.#dead) throw new EvertreeError('CLOSED', 'the process that used this target in memory is dead');
  }
}

function planted(code: ErrorCode = 'UNREACHABLE', operation: TargetOperation, keys: readonly string[]): EvertreeError {
  return new EvertreeError(code, `planted: ${operation} ${keys.join(' ')} failed with ${code}`, { planted: true });
}

function tagOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
