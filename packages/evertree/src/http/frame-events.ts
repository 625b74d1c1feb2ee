import { changeSetSteps, formatPosition, samePosition } from '@evertree/core';
import type { ChangeSet, Frame, Pattern, SnapshotNode, Value } from '@evertree/core';
import { contentSlices, isOneSlice } from './json-slices.ts';
import type { Turns } from './turns.ts';
import { clip, patternKey, type ClippedOperation } from './watch-pattern.ts';

/** Kept beside the newest, whatever that takes. */
const KEPT_BYTES = 8 * 1024 * 1024;
const KEPT_FRAMES = 8;
/** Events are encoded in pieces of about so many characters. */
const PIECE_CHARACTERS = 32 * 1024;
/** Operations between two pauses: half a millisecond or so. */
const OPERATIONS_A_STEP = 256;

/** The events of a frame for a pattern, in pieces that are sent one after the other; none: it has no events. */
type EventPieces = readonly Buffer[];

interface Kept {
  readonly frame: Frame;
  readonly changeSets: Promise<readonly ChangeSet<SnapshotNode | Value>[]>;
  /** By the pattern's key. */
  readonly events: Map<string, Promise<EventPieces>>;
  /** Of the frame, and of the events that are encoded so far. */
  bytes: number;
}

/**
 * The events that frames are to watches. Each of the newest frames is decoded once, and encoded once for all watches of
 * a pattern: they send the same bytes. Both are done in steps between which others get their turn, and to the end, even
 * if nobody waits any more.
 */
export class FrameEvents {
  readonly #turns: Turns;
  /** The newest last. */
  readonly #kept: Kept[] = [];

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** The events of a frame for a pattern. @throws EvertreeError FORMAT_INVALID */
  of(frame: Frame, pattern: Pattern): Promise<EventPieces> {
    const kept = this.#keep(frame);
    const key = patternKey(pattern);
    let events = kept.events.get(key);
    if (events === undefined) {
      events = this.#encode(kept, pattern, 0);
      kept.events.set(key, events);
    }
    return events;
  }

  /** The events of what follows a revision in the middle of a frame. */
  after(revision: number, frame: Frame, pattern: Pattern): Promise<EventPieces> {
    return this.#encode(this.#keep(frame), pattern, revision);
  }

  #keep(frame: Frame): Kept {
    // A client that is behind reads from the disk: another object each time, of the same frame.
    const { base, last } = frame.header;
    const found = this.#kept.find(({ frame: { header } }) => samePosition(header.last, last) && samePosition(header.base, base));
    if (found !== undefined) return found;
    const made = { frame, changeSets: this.#turns.run(changeSetSteps(frame)), events: new Map(), bytes: frame.bytes.length };
    this.#kept.push(made);
    this.#forget();
    return made;
  }

  async #encode(kept: Kept, pattern: Pattern, after: number): Promise<EventPieces> {
    const pieces: Buffer[] = [];
    await this.#turns.run(encode(kept.frame, await kept.changeSets, { pattern, after }, pieces));
    if (after === 0) {
      for (const { length } of pieces) kept.bytes += length;
      this.#forget();
    }
    return pieces;
  }

  #forget(): void {
    let bytes = this.#kept.reduce((sum, entry) => sum + entry.bytes, 0);
    while (this.#kept.length > 1 && (this.#kept.length > KEPT_FRAMES || bytes > KEPT_BYTES)) bytes -= this.#kept.shift()!.bytes;
  }
}

/** Adds the events to `pieces`, in steps. */
function* encode(
  frame: Frame,
  changeSets: readonly ChangeSet<SnapshotNode | Value>[],
  { pattern, after }: { readonly pattern: Pattern; readonly after: number },
  pieces: Buffer[],
): Generator<void> {
  const { epoch } = frame.header;
  let text = '';
  let left = OPERATIONS_A_STEP;
  for (const changeSet of changeSets) {
    if (changeSet.revision <= after) continue;
    let isOpen = false;
    for (const operation of changeSet.operations) {
      for (const clipped of clip(operation, pattern)) {
        if (clipped === undefined) {
          yield;
          continue;
        }
        text += isOpen ? ',' : opening(epoch, changeSet);
        isOpen = true;
        for (const slice of operationSlices(clipped)) {
          text += slice;
          if (text.length < PIECE_CHARACTERS && slice !== '') continue;
          if (text.length >= PIECE_CHARACTERS) text = cut(text, pieces);
          yield;
        }
      }
      if (--left > 0) continue;
      left = OPERATIONS_A_STEP;
      yield;
    }
    if (isOpen) text += ']}\n\n';
  }
  if (text !== '') pieces.push(Buffer.from(text));
}

function cut(text: string, pieces: Buffer[]): '' {
  pieces.push(Buffer.from(text));
  return '';
}

/** An event up to its first operation. */
function opening(epoch: number, { revision, time, author, message }: ChangeSet<unknown>): string {
  const position = { epoch, revision };
  const head = JSON.stringify({ position, time, author, message });
  return `event: change\nid: ${formatPosition(position)}\ndata: ${head.slice(0, -1)},"operations":[`;
}

function operationSlices(operation: ClippedOperation): Iterable<string> {
  const value = operation[2];
  return value === undefined || isOneSlice(value) ? [JSON.stringify(operation)] : putSlices(operation[1], value);
}

function* putSlices(pointer: string, value: SnapshotNode | Value): Generator<string> {
  yield `["put",${JSON.stringify(pointer)},`;
  yield* contentSlices(value);
  yield ']';
}
