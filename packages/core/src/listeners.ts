import { PinnedBatch, type Batch, type Touched } from './batch.ts';
import type { Operation } from './change-set.ts';
import { Delivery, type DeliveryOptions } from './delivery.ts';
import type { TreeNode } from './node.ts';
import { formatPath, type Path } from './path.ts';
import { PatternTrie } from './pattern-trie.ts';
import { agrees, formatPattern, hasWildcard, parsePattern, type Pattern, type PatternLike } from './pattern.ts';
import type { Position } from './position.ts';
import { forEachDifferentMatch, forEachMatch, sameStanding } from './standing.ts';
import { getFrom } from './tree.ts';

/** What a commit made of the tree. Both roots are pinned; values are read from them, not from the operations. */
export interface Change {
  readonly before: TreeNode;
  readonly after: TreeNode;
  readonly operations: readonly Operation[];
  readonly from: Position;
  readonly position: Position;
  readonly time: number;
}

interface Listening {
  readonly pattern: Pattern;
  readonly delivery: Delivery;
}

/**
 * The data-tree change listeners of a store, as MD-SAL's DOMDataTreeChangeListener: registration brings one initial batch with the
 * present state, then each commit that changes something a listener watches brings one batch.
 *
 * A pattern without wildcards always gets its initial modification: a `write` with the value, or a `delete` where nothing stands. One
 * with wildcards gets a `write` for each match, and an empty batch where there is none.
 */
export class Listeners {
  readonly #listening = new PatternTrie<Listening>();
  readonly #options: Omit<DeliveryOptions, 'name'>;

  constructor(options: Omit<DeliveryOptions, 'name'>) {
    this.#options = options;
  }

  get size(): number {
    return this.#listening.size;
  }

  /** Whether an operation at a path is at, above or below what some listener watches. Asked for each operation of each commit. */
  concerns(path: Path): boolean {
    return this.#listening.concerns(path);
  }

  /** @throws EvertreeError PATH_INVALID */
  add(
    patternLike: PatternLike,
    callback: (batch: Batch) => void | Promise<void>,
    now: { readonly root: TreeNode; readonly position: Position; readonly time: number },
    options: { readonly name?: string } = {},
  ): Disposable {
    const pattern = parsePattern(patternLike);
    const watched = `on ${JSON.stringify(formatPattern(pattern))}`;
    const delivery = new Delivery(callback, {
      ...this.#options,
      name: options.name === undefined ? watched : `${JSON.stringify(options.name)} ${watched}`,
    });
    const listening = { pattern, delivery };
    this.#listening.add(pattern, listening);
    delivery.push(initialBatch(pattern, now));
    return {
      [Symbol.dispose]: () => {
        this.#listening.delete(pattern, listening);
        delivery.end();
      },
    };
  }

  /** Queues a batch for each listener that a commit concerns; calls none. */
  notify(change: Change): void {
    const concerned = new Set<Listening>();
    for (const { path } of change.operations) this.#listening.visit(path, listening => concerned.add(listening));
    for (const { pattern, delivery } of concerned) {
      const touched = touchedPlaces(pattern, change);
      if (touched.size === 0) continue;
      delivery.push(new PinnedBatch({ ...change, initial: false, merged: 1 }, change.before, change.after, touched));
    }
  }

  /** Ends all of them. */
  close(): void {
    this.#listening.visit([], ({ delivery }) => delivery.end());
  }
}

function initialBatch(pattern: Pattern, now: { readonly root: TreeNode; readonly position: Position; readonly time: number }): PinnedBatch {
  const touched = new Map<string, Touched>();
  const touch = (segments: Path): void => void touched.set(formatPath(segments), { segments, replaced: true, operations: undefined });
  if (hasWildcard(pattern)) forEachMatch(now.root, pattern, [], touch);
  else touch(pattern as Path);
  const { position, time } = now;
  return new PinnedBatch({ initial: true, from: position, position, time, merged: 0 }, undefined, now.root, touched);
}

/** The places that a pattern matches and a commit changed, by pointer. */
function touchedPlaces(pattern: Pattern, { before, after, operations }: Change): Map<string, Touched> {
  const touched = new Map<string, { segments: Path; replaced: boolean; operations: Operation[] }>();
  const touch = (segments: Path, replaced: boolean, operation: Operation): void => {
    const pointer = formatPath(segments);
    const known = touched.get(pointer);
    if (known === undefined) touched.set(pointer, { segments, replaced, operations: [operation] });
    else known.operations.push(operation);
  };
  for (const operation of operations) {
    const { path } = operation;
    if (!agrees(pattern, path)) continue;
    if (path.length < pattern.length) {
      forEachDifferentMatch(before, after, pattern, path, segments => touch(segments, true, operation));
      continue;
    }
    const segments = path.slice(0, pattern.length);
    if (!sameStanding(getFrom(before, segments), getFrom(after, segments))) touch(segments, path.length === pattern.length, operation);
  }
  return touched;
}
