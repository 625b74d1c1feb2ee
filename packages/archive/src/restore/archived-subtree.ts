import { type Clock, PastTree, type Path, PathSet, type Random, type Reporter, type SnapshotNode, Turn, type Value } from '@evertree/core';
import type { WhenLike } from '@evertree/history';
import type { Identities } from '../encryption/identities.ts';
import { Archive } from '../reading/archive.ts';
import { pinOf } from '../reading/archive-pin.ts';
import type { RestorePlan } from '../reading/restore-plan.ts';
import type { Target } from '../targets/target.ts';
import { assertReached } from './damaged-end.ts';

export interface SubtreeOptions {
  readonly target: Target;
  readonly identities?: Identities | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly report?: Reporter;
  /** The state to read; by default the newest. */
  readonly to?: WhenLike;
  readonly line?: string | undefined;
  /** Keys of objects to do without, because they are damaged or missing. */
  readonly without?: readonly string[];
  readonly progress?: (doneBytes: number, totalBytes: number) => void;
}

/** What stood at a path. */
export interface ArchivedSubtree {
  readonly plan: RestorePlan;
  /** Undefined if nothing stood there. */
  readonly content: SnapshotNode | Value | undefined;
}

/**
 * Reads one subtree of an archived state. Of the tree only that part is built, so that memory is needed for it alone;
 * everything else is read over. Of the whole tree the digest is compared, too.
 * @throws EvertreeError as `Archive.plan` and `Archive.frames`; DAMAGED where the archive may have lost what was asked for
 */
export async function readArchivedSubtree(path: Path, options: SubtreeOptions): Promise<ArchivedSubtree> {
  const { target, identities, clock, random, to, line, without, report } = options;
  const archive = await Archive.open(target, { identities, ...(report && { report }) });
  archive.assertEncryptedFor(identities);
  const plan = await archive.plan(to, { line, now: clock.now(), ...(without && { without: new Set(without) }) });
  await assertReached(archive, plan, { to, line });
  await using _ = await pinOf(archive, { clock, random, report, purpose: 'restore' });
  const tree = new PastTree(path.length === 0 ? undefined : setOf(path));
  await new SubtreeReading(archive, plan, tree, options).run();
  return { plan, content: tree.pinned(path) };
}

function setOf(path: Path): PathSet {
  const set = new PathSet();
  set.add(path);
  return set;
}

class SubtreeReading {
  readonly #archive: Archive;
  readonly #plan: RestorePlan;
  readonly #tree: PastTree;
  readonly #options: SubtreeOptions;
  readonly #turn: Turn;
  #doneBytes = 0;

  constructor(archive: Archive, plan: RestorePlan, tree: PastTree, options: SubtreeOptions) {
    this.#archive = archive;
    this.#plan = plan;
    this.#tree = tree;
    this.#options = options;
    this.#turn = new Turn(options.clock);
  }

  async run(): Promise<void> {
    const { image, line, position, digest } = this.#plan;
    if (image !== undefined) {
      const snapshot = await this.#archive.image(line, image);
      this.#tree.begin(snapshot.header);
      for await (const chunk of snapshot.chunks()) await this.#take(chunk.length, this.#tree.addChunk(chunk));
      this.#tree.assertDigest(snapshot.header.digest);
    }
    for await (const frame of this.#archive.frames(this.#plan)) {
      await this.#take(frame.bytes.length, this.#tree.addFrame(frame, position.revision));
    }
    if (digest !== undefined) this.#tree.assertDigest(digest);
  }

  async #take(bytes: number, steps: Iterable<void>): Promise<void> {
    for (const _ of steps) await this.#turn.breathe();
    await this.#turn.breathe();
    this.#doneBytes += bytes;
    const { plainBytes } = this.#plan;
    this.#options.progress?.(Math.min(this.#doneBytes, plainBytes), plainBytes);
  }
}
