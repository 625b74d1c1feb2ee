import { decodeChangeSets, samePosition, type ChangeSet, type Frame, type Operation, type Pattern } from '@evertree/core';
import { formatEvent } from './event-stream.ts';
import { clip, patternKey, type PlainOperation } from './watch-pattern.ts';

/** Kept beside the newest, whatever that takes. */
const KEPT_BYTES = 8 * 1024 * 1024;
const KEPT_FRAMES = 8;
const NO_EVENTS = Buffer.alloc(0);

interface Kept {
  readonly frame: Frame;
  readonly changeSets: readonly ChangeSet[];
  /** By the pattern's key. */
  readonly events: Map<string, Buffer>;
  bytes: number;
}

/**
 * The events that frames are to watches. Each of the newest frames is decoded once, and encoded once for all watches of
 * a pattern: they send the same bytes.
 */
export class FrameEvents {
  /** The newest last. */
  readonly #kept: Kept[] = [];

  /** The events of a frame for a pattern; empty when it has none. */
  of(frame: Frame, pattern: Pattern): Buffer {
    const kept = this.#keep(frame);
    const key = patternKey(pattern);
    let events = kept.events.get(key);
    if (events === undefined) {
      events = encode(frame, kept.changeSets, pattern, 0);
      kept.events.set(key, events);
      kept.bytes += events.length;
      this.#forget();
    }
    return events;
  }

  /** The events of what follows a revision in the middle of a frame. */
  after(revision: number, frame: Frame, pattern: Pattern): Buffer {
    return encode(frame, this.#keep(frame).changeSets, pattern, revision);
  }

  #keep(frame: Frame): Kept {
    // A client that is behind reads from the disk: another object each time, of the same frame.
    const { base, last } = frame.header;
    const found = this.#kept.find(({ frame: { header } }) => samePosition(header.last, last) && samePosition(header.base, base));
    if (found !== undefined) return found;
    const made = { frame, changeSets: decodeChangeSets(frame), events: new Map(), bytes: frame.bytes.length };
    this.#kept.push(made);
    this.#forget();
    return made;
  }

  #forget(): void {
    let bytes = this.#kept.reduce((sum, entry) => sum + entry.bytes, 0);
    while (this.#kept.length > 1 && (this.#kept.length > KEPT_FRAMES || bytes > KEPT_BYTES)) bytes -= this.#kept.shift()!.bytes;
  }
}

function encode(frame: Frame, changeSets: readonly ChangeSet[], pattern: Pattern, after: number): Buffer {
  let events = '';
  for (const { revision, time, author, message, operations: all } of changeSets) {
    if (revision <= after) continue;
    const operations = clipAll(all, pattern);
    if (operations.length === 0) continue;
    const position = { epoch: frame.header.epoch, revision };
    events += formatEvent('change', position, { position, time, author, message, operations });
  }
  return events === '' ? NO_EVENTS : Buffer.from(events);
}

function clipAll(operations: readonly Operation[], pattern: Pattern): readonly PlainOperation[] {
  const [first] = operations;
  if (first !== undefined && operations.length === 1) return clip(first, pattern);
  return operations.flatMap(operation => clip(operation, pattern));
}
