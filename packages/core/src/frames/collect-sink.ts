import { readBinaryBody } from './binary-reader.ts';
import type { BodySink, ChangeSetHead, EpochNote, FrameNote, MarkNote } from './body.ts';
import type { Handover } from '../position.ts';
import type { ChangeSet, Operation } from './change-set.ts';
import { exportValue } from '../tree/content.ts';
import { frameBody, type Frame } from './frame.ts';
import { readJsonBody } from './json-body.ts';
import type { Child } from '../tree/node.ts';
import { ROOT, type Path } from '../tree/path.ts';
import type { Value } from '../tree/value.ts';

/** A frame's change sets with paths and values, for listeners, people and other tools. */
export class CollectSink<T> implements BodySink {
  readonly changeSets: ChangeSet<T>[] = [];
  note: FrameNote | undefined;
  readonly #paths: Path[] = [ROOT, ROOT];
  readonly #valueOf: (child: Child) => T;
  #operations: Operation<T>[] = [];
  #revision: number;

  /** @param base revision before the frame */
  constructor(base: number, valueOf: (child: Child) => T) {
    this.#revision = base;
    this.#valueOf = valueOf;
  }

  epoch(epoch: EpochNote): void {
    this.note = { epoch };
  }

  handover(handover: Handover): void {
    this.note = { handover };
  }

  mark(mark: MarkNote): void {
    this.note = { mark };
  }

  changeSet({ time, author, message }: ChangeSetHead): void {
    this.#operations = [];
    this.changeSets.push({
      revision: ++this.#revision,
      time,
      operations: this.#operations,
      ...(author === undefined ? {} : { author }),
      ...(message === undefined ? {} : { message }),
    });
  }

  spelledKey(): undefined {
    return undefined;
  }

  define(parent: number, key: string): void {
    this.#paths.push([...this.#paths[parent]!, key]);
  }

  put(node: number, key: string, _keyLo: number, _keyHi: number, child: Child): void {
    this.#operations.push({ type: 'put', path: [...this.#paths[node]!, key], value: this.#valueOf(child) });
  }

  delete(node: number, key: string): void {
    this.#operations.push({ type: 'delete', path: [...this.#paths[node]!, key] });
  }

  putRoot(child: Child): void {
    this.#operations.push({ type: 'put', path: ROOT, value: this.#valueOf(child) });
  }
}

/**
 * The change sets of a frame, whatever its body's codec.
 * @throws EvertreeError FORMAT_INVALID
 */
export function decodeChangeSets(frame: Frame): ChangeSet[] {
  return decodeFrame(frame).changeSets;
}

/** As decodeChangeSets, with the frame's note if it begins or ends its epoch. */
export function decodeFrame(frame: Frame): { note: FrameNote | undefined; changeSets: ChangeSet[] } {
  const { header } = frame;
  if (header.codec === 'json') return readJsonBody(frameBody(frame), header);
  const sink = new CollectSink<Value>(header.base.revision, exportValue);
  readBinaryBody(frameBody(frame), header, 0, sink);
  return { note: sink.note, changeSets: sink.changeSets };
}
