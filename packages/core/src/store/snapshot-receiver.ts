import { EvertreeError } from '../errors.ts';
import type { SnapshotHeader, SnapshotWriter } from '../seams/journal.ts';
import { SnapshotBuilder } from '../frames/snapshot-codec.ts';
import type { Clock } from '../seams/host.ts';
import type { Tree } from '../tree/tree.ts';
import { Turn } from '../turn.ts';

/**
 * Bytes of chunks that are in the tree and wait for the disk. As the next chunks are built while these are written, the
 * disk delays nothing until it is so far behind: a sync takes as long as some chunks.
 */
const UNWRITTEN_LIMIT_BYTES = 4 * 1024 * 1024;

/** Lets the snapshot's tree take the place of the present one. `take` calls `moved` in the very step in which it does. */
type TakePlace = (tree: Tree, take: (moved: () => void) => Promise<void>) => Promise<void>;

/**
 * Receives a snapshot from another site: it is built beside the present tree, verified and made durable, and only then
 * takes its place.
 */
export class SnapshotReceiver {
  readonly #header: SnapshotHeader;
  readonly #writer: SnapshotWriter;
  readonly #takePlace: TakePlace;
  readonly #turn: Turn;
  readonly #builder = new SnapshotBuilder();
  /** The chunks are written one after the other. Rejects once one could not be written; nothing is written then. */
  #writing: Promise<void> = Promise.resolve();
  #unwrittenBytes = 0;
  /** Set once a chunk could not be written. */
  #failure: { readonly error: unknown } | undefined;
  #over = false;

  constructor(header: SnapshotHeader, writer: SnapshotWriter, clock: Clock, takePlace: TakePlace) {
    this.#header = header;
    this.#writer = writer;
    this.#takePlace = takePlace;
    this.#turn = new Turn(clock);
  }

  /**
   * Takes the next chunk, whose bytes stay as they are. The caller waits for it, which bounds memory.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID, and what failed at the disk, which may be a chunk before this
   *   one; the caller has to abort then
   */
  async add(chunk: Uint8Array): Promise<void> {
    this.#assertOpen();
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#turn.restart();
    await this.#turn.run(this.#builder.addSteps(chunk));
    const before = this.#writing;
    this.#unwrittenBytes += chunk.length;
    this.#writing = this.#writeAfter(before, chunk);
    // Whoever calls next is told: with a later chunk, or with `finish`.
    this.#writing.catch((error: unknown) => (this.#failure ??= { error }));
    if (this.#unwrittenBytes > UNWRITTEN_LIMIT_BYTES) await before;
  }

  async #writeAfter(before: Promise<void>, chunk: Uint8Array): Promise<void> {
    await before;
    await this.#writer.write(chunk);
    this.#unwrittenBytes -= chunk.length;
  }

  /**
   * Once it has resolved the snapshot is durable here, and is the tree.
   * @throws EvertreeError DIGEST_MISMATCH; tree and journal are unchanged then
   */
  async finish(): Promise<void> {
    this.#assertOpen();
    const tree = this.#builder.finish(this.#header);
    await this.#writing;
    await this.#takePlace(tree, moved =>
      this.#writer.commit(() => {
        this.#over = true;
        moved();
      }),
    );
  }

  /** Gives up and leaves no trace. Idempotent; does nothing after `finish`. */
  async abort(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    // Nothing may write to the file while it is closed and removed.
    await this.#writing.catch(() => undefined);
    await this.#writer.abort();
  }

  #assertOpen(): void {
    if (this.#over) throw new EvertreeError('CLOSED', 'this snapshot was finished or aborted');
  }
}
