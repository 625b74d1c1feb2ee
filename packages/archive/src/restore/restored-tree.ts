import {
  EvertreeError,
  formatPosition,
  type Frame,
  frameHash,
  type FrameHeader,
  isEvertreeError,
  type NetChanges,
  RebuiltTree,
  RewrittenHistory,
  Turn,
} from '@evertree/core';
import { releaseMemory } from '../format/memory.ts';
import type { ChainEnd } from '../reading/frames-reader.ts';
import type { ReadPart } from '../reading/image-reader.ts';
import { type RestoreState, writeRestoreState } from './restore-state.ts';
import type { RestoreTask } from './restore-task.ts';
import type { RestoredHistory } from './restored-history.ts';
import { RestoredImage } from './restored-image.ts';
import type { WriteQueue } from './write-queue.ts';

/** What an earlier attempt wrote is not what it was. */
export class KeptUnsound extends Error {}

/** After so many bytes of frames the digest is compared; comparing it after each costs a tenth of the time. */
const COMPARED_BYTES = 1024 * 1024;
/** A frame whose body has so many bytes a commit mostly puts objects: applied at once, they take less time. DESIGN.md, «Restore». */
const LARGE_COMMIT_BYTES = 64;

/** Errors after which trying again can't help. */
const FINAL: ReadonlySet<string> = new Set([
  'DAMAGED',
  'DIGEST_MISMATCH',
  'FORMAT_INVALID',
  'FORMAT_UNSUPPORTED',
  'HISTORY_MISMATCH',
  'IDENTITY_NEEDED',
  'PATH_INVALID',
  'STREAM_MISMATCH',
  'VALUE_INVALID',
]);

/** Whether trying again can't help. */
export function isFinal(error: unknown): boolean {
  return isEvertreeError(error) && FINAL.has(error.code);
}

/**
 * Builds the tree once, and writes what it is built from beside that: the image as a snapshot, the frames as segments.
 * What an earlier attempt wrote is read from there.
 */
export class RestoredTree {
  readonly #task: RestoreTask;
  readonly #queue: WriteQueue;
  readonly #history: RestoredHistory;
  readonly #image: RestoredImage | undefined;
  readonly #turn: Turn;
  #state: RestoreState;
  #doneBytes = 0;
  /** Bytes that an earlier attempt had written. */
  keptBytes = 0;
  /** Of the frames after the image. */
  frameBytes = 0;
  comparisons = 0;
  /** Bytes of the frames since the digest was compared, and the header of the last of them. */
  #unprovenBytes = 0;
  #unproven: FrameHeader | undefined;
  /** Whether changes are to be made of frames that were taken. */
  #isGathering = false;

  constructor(task: RestoreTask, queue: WriteQueue, history: RestoredHistory) {
    const { disk, clock, source, state } = task;
    this.#task = task;
    this.#state = state;
    this.#queue = queue;
    this.#history = history;
    this.#image = source.image === undefined ? undefined : new RestoredImage(disk, source.image.position);
    this.#turn = new Turn(clock);
  }

  /** @returns the tree where the image ends */
  async begin(): Promise<RebuiltTree> {
    await writeRestoreState(this.#task.disk, this.#state);
    return this.#buildImage();
  }

  /** Applies the frames up to the end. */
  async complete(tree: RebuiltTree): Promise<void> {
    await this.#keepFrames(tree);
    await this.#readFrames(tree);
  }

  /** Closes what is open; it stays for the next attempt. */
  async leave(): Promise<void> {
    await this.#image?.leave();
  }

  async #buildImage(): Promise<RebuiltTree> {
    const { source } = this.#task;
    const image = this.#image;
    if (image === undefined || source.image === undefined) return RebuiltTree.empty();
    const whole = await image.whole();
    if (whole !== undefined && whole.header.digest === source.image.digest && whole.header.stream === this.#task.stream) {
      return this.#kept(() => RebuiltTree.from({ ...whole, chunks: () => this.#counted(whole.chunks()) }));
    }
    const { written } = this.#state;
    const begun = written === undefined ? undefined : await image.resume(written);
    const skipped = begun === undefined ? 0 : this.#state.parts;
    const parts = source.parts(skipped)[Symbol.asyncIterator]();
    const first = await parts.next();
    const header = begun?.header ?? first.value?.header;
    if (header === undefined) throw new EvertreeError('DAMAGED', 'the image has no part', { position: source.image.position });
    if (begun === undefined) await image.begin(header);
    const chunks = () => this.#imageChunks(begun?.chunks(), first, parts);
    const tree = await RebuiltTree.from({ header, bytes: source.image.plainBytes, chunks });
    await this.#queue.add(0, () => image.commit());
    return tree;
  }

  /** The chunks of the image: first those that are in its file, then those that are read, which are written. */
  async *#imageChunks(
    kept: AsyncIterable<Uint8Array> | undefined,
    first: IteratorResult<ReadPart>,
    parts: AsyncIterator<ReadPart>,
  ): AsyncGenerator<Uint8Array> {
    if (kept !== undefined) yield* this.#sound(this.#counted(kept));
    try {
      for (let part = first; part.done !== true; part = await parts.next()) {
        for (const chunk of part.value.chunks) {
          await this.#queue.add(chunk.length, () => this.#image!.write(chunk));
          yield chunk;
          this.#tell(chunk.length);
          await this.#turn.breathe();
        }
        const { number } = part.value;
        await this.#queue.add(0, () => this.#noteParts(number));
      }
    } finally {
      await parts.return?.();
    }
  }

  /** So that the next attempt begins after these parts. */
  async #noteParts(parts: number): Promise<void> {
    this.#state = { ...this.#state, parts, written: this.#image!.written };
    await writeRestoreState(this.#task.disk, this.#state);
  }

  /** Applies what an earlier attempt wrote. */
  async #keepFrames(tree: RebuiltTree): Promise<void> {
    await this.#kept(async () => {
      await this.#history.keep(endOf(tree), frame => {
        // The epoch of the restored site, which is begun anew: the attempt ended right before it was over.
        if (frame.header.last.revision > this.#end) return false;
        this.#apply(tree, frame);
        this.keptBytes += frame.bytes.length;
        return true;
      });
      this.#prove(tree);
    });
  }

  async #readFrames(tree: RebuiltTree): Promise<void> {
    const { source, state, stream } = this.#task;
    if (tree.head.last.revision >= this.#end) return;
    for await (const { frame, isGathered, changes } of source.frames(endOf(tree))) {
      const isCut = frame.header.last.revision > this.#end;
      // A secondary can only go on after a whole frame of its primary.
      if (isCut && state.role === 'secondary') break;
      if (isCut) this.#prove(tree);
      const written = isCut ? new RewrittenHistory({ stream, without: new Set(), upTo: this.#end }).take(frame, tree).frame! : frame;
      // Its bytes have to stay: the writer of the segment gathers frames before it writes them.
      await this.#queue.add(written.bytes.length, () => this.#history.write(written));
      if (isGathered) this.#gather(tree, frame, changes);
      else this.#apply(tree, written);
      if (changes !== undefined) await this.#letGo(tree);
      await this.#turn.breathe();
      if (isCut) break;
    }
    this.#prove(tree);
  }

  /** Takes a frame of those whose changes are made together, with the last of them. The digest is compared then. */
  #gather(tree: RebuiltTree, frame: Frame, changes: NetChanges | undefined): void {
    // What was applied before is not what these changes are about.
    if (this.#unproven !== undefined && !this.#isGathering) this.#prove(tree);
    this.#isGathering = changes === undefined;
    tree.defer(frame);
    this.#unproven = frame.header;
    this.frameBytes += frame.bytes.length;
    this.#tell(frame.bytes.length);
    if (changes === undefined) return;
    tree.make(changes);
    releaseMemory(changes.body);
    this.#prove(tree);
  }

  /** Holds no frame that was taken: their memory is given back when the next one is read. */
  async #letGo(tree: RebuiltTree): Promise<void> {
    await this.#queue.add(0, () => this.#history.flush());
    await this.#queue.drain();
    tree.letGo();
  }

  #apply(tree: RebuiltTree, frame: Frame): void {
    const { header, bytes } = frame;
    const { length } = bytes;
    this.#unprovenBytes += length;
    const compares = this.#unprovenBytes >= COMPARED_BYTES || header.bodyLength >= header.count * LARGE_COMMIT_BYTES;
    tree.apply(frame, compares);
    this.#unproven = header;
    if (compares) this.#proven();
    this.frameBytes += length;
    this.#tell(length);
  }

  /** Compares the digest of the tree with that of its last frame. @throws EvertreeError DIGEST_MISMATCH */
  #prove(tree: RebuiltTree): void {
    if (this.#unproven === undefined) return;
    const { digest: expected, last: position } = this.#unproven;
    const found = tree.digest;
    if (found !== expected) {
      const message = `the rebuilt tree has the digest ${found} at ${formatPosition(position)}, where its frame says ${expected}`;
      throw new EvertreeError('DIGEST_MISMATCH', message, { expected, found, position });
    }
    this.#proven();
  }

  #proven(): void {
    this.#unproven = undefined;
    this.#unprovenBytes = 0;
    this.comparisons++;
  }

  get #end(): number {
    return this.#task.state.position.revision;
  }

  /** What goes wrong with what an earlier attempt wrote is no fault of the archive. */
  async #kept<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isFinal(error)) throw new KeptUnsound((error as Error).message, { cause: error });
      throw error;
    }
  }

  async *#sound(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
    } catch (error) {
      throw new KeptUnsound((error as Error).message, { cause: error });
    }
  }

  async *#counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.keptBytes += chunk.length;
      this.#tell(chunk.length);
      yield chunk;
    }
  }

  #tell(bytes: number): void {
    this.#doneBytes += bytes;
    const { progress, plainBytes } = this.#task;
    progress?.(Math.min(this.#doneBytes, plainBytes), plainBytes);
  }
}

/** Where the history of a tree ends. */
function endOf({ head: { last: position, chain } }: RebuiltTree): ChainEnd {
  return { position, chain: typeof chain === 'string' ? chain : frameHash(chain) };
}
