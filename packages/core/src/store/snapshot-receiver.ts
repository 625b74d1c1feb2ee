import { EvertreeError } from '../errors.ts';
import type { SnapshotHeader, SnapshotWriter } from '../seams/journal.ts';
import { SnapshotBuilder } from '../frames/snapshot-codec.ts';
import type { Tree } from '../tree/tree.ts';

/**
 * Receives a snapshot from another site: it is built beside the present tree, verified and made durable, and only then
 * takes its place.
 */
export class SnapshotReceiver {
  readonly #header: SnapshotHeader;
  readonly #writer: SnapshotWriter;
  readonly #swapIn: (tree: Tree) => void;
  readonly #builder = new SnapshotBuilder();
  #over = false;

  constructor(header: SnapshotHeader, writer: SnapshotWriter, swapIn: (tree: Tree) => void) {
    this.#header = header;
    this.#writer = writer;
    this.#swapIn = swapIn;
  }

  /**
   * Takes the next chunk. The caller waits for it, which bounds memory.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID; the caller has to abort then
   */
  async add(chunk: Uint8Array): Promise<void> {
    this.#assertOpen();
    this.#builder.add(chunk);
    await this.#writer.write(chunk);
  }

  /**
   * Once it has resolved the snapshot is durable here, and is the tree.
   * @throws EvertreeError DIGEST_MISMATCH; tree and journal are unchanged then
   */
  async finish(): Promise<void> {
    this.#assertOpen();
    const tree = this.#builder.finish(this.#header);
    await this.#writer.commit(() => {
      this.#over = true;
      this.#swapIn(tree);
    });
  }

  /** Gives up and leaves no trace. Idempotent; does nothing after `finish`. */
  async abort(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#writer.abort();
  }

  #assertOpen(): void {
    if (this.#over) throw new EvertreeError('CLOSED', 'this snapshot was finished or aborted');
  }
}
