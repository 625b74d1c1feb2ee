import type { CommitOptions } from '../transactions/commit.ts';
import { Durability } from './durability.ts';
import { FrameWriter } from '../frames/frame-writer.ts';
import { frameHash, type BodyCodec, type BodyRest, type Frame } from '../frames/frame.ts';
import type { FrameNote, MarkNote } from '../frames/body.ts';
import { ended, headAfter, marksAfterFrame, type HistoryHead } from './history-head.ts';
import { assertSucceeds, withEpoch, type EpochName, type Lineage } from '../lineage.ts';
import type { Mark, MarkCommit } from '../marks.ts';
import type { Clock, Random } from '../seams/host.ts';
import type { Journal, SnapshotHeader } from '../seams/journal.ts';
import type { NetOperation } from '../transactions/net-operations.ts';
import type { Epoch, ExactPosition, Handover } from '../position.ts';
import { ROOT } from '../tree/path.ts';
import type { Tree } from '../tree/tree.ts';

/** So many commits of one turn share a reading of the clock, which costs a tenth of a commit. */
const CLOCK_SHARE = 64;

/**
 * A site that follows another keeps so long those that it fed: a switchover back, just after, finds them, even if it is
 * asked for before they are linked again.
 */
const LEFT_PEER_MS = 600_000;

const NO_STREAM = '0'.repeat(32);

/** What a transaction that ran ahead changes, and its operations as they were encoded ahead. */
interface EncodedChanges {
  readonly operations: readonly NetOperation[];
  readonly encoded: BodyRest | undefined;
}

/** The history of a tree, up to its last commit in memory; and the way of the commits into the journal. */
export class History implements Lineage {
  readonly durability: Durability;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Holds the commits after `#head`. Its `lastTime` is the time of the last commit. */
  readonly #writer: FrameWriter;
  /** The history up to the last frame that was cut or applied. */
  #head: HistoryHead;
  /** Digest of the tree at `#head`. */
  #digest: string;
  /** The head's end or a later position of the same epoch. The last commit is `#ahead` revisions after it. */
  #position: ExactPosition;
  #ahead = 0;
  /** Whether this object began the last entry of the table of epochs, so that no other copy of the journal writes in it. */
  #reigns = false;
  /** The last reading of the clock, and how many more commits may use it. */
  #now = 0;
  #timeUses = 0;

  constructor(
    options: { readonly journal: Journal; readonly clock: Clock; readonly random: Random; readonly encoding: BodyCodec },
    head: HistoryHead,
    digest: string,
  ) {
    this.#journal = options.journal;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#head = head;
    this.#digest = digest;
    this.#position = head.last;
    this.#writer = new FrameWriter(options.encoding, head.time);
    this.durability = new Durability(options.journal.log, this, { position: head.last, digest });
  }

  /** The last commit's position, in memory. It is made when it is asked for: most commits are not asked for it. */
  get last(): ExactPosition {
    if (this.#ahead > 0) {
      const { epoch, epochId, revision } = this.#position;
      this.#position = { epoch, epochId, revision: revision + this.#ahead };
      this.#ahead = 0;
    }
    return this.#position;
  }

  /** Some position of the last commit's epoch. Many commits share the object. */
  get withinEpoch(): ExactPosition {
    return this.#position;
  }

  get revision(): number {
    return this.#position.revision + this.#ahead;
  }

  get stream(): string | null {
    return this.#head.stream;
  }

  get epochs(): readonly Epoch[] {
    return this.#head.epochs;
  }

  get marks(): readonly Mark[] {
    return this.#head.marks;
  }

  /** Commit time of the last commit, milliseconds since 1970; 0 before the first. */
  get time(): number {
    return this.#writer.lastTime;
  }

  /** In which its frames are encoded. */
  get codec(): BodyCodec {
    return this.#writer.body.codec;
  }

  /** Bytes of the change sets that are not cut into a frame yet. */
  get openBytes(): number {
    return this.#writer.count === 0 ? 0 : this.#writer.body.length;
  }

  /** Keys that they spell. */
  get openKeys(): number {
    return this.#writer.body.keys;
  }

  /**
   * Gives a change set the next revision and encodes it. The first commit of each opening begins an entry of the
   * table of epochs, and the first of all the stream.
   * @param operations they are applied to the tree already
   * @param onTrail the tree's trail still leads along the path of the only operation
   * @returns its commit time
   */
  record(operations: readonly NetOperation[], tree: Tree, onTrail: boolean, options: CommitOptions | undefined): number {
    if (!this.#reigns) this.#beginReign();
    const time = this.#writer.changeSet(this.#time(), options?.author, options?.message, operations.length);
    if (onTrail) {
      const { path, child } = operations[0]!;
      this.#writer.body.operation(tree.trail, path, child, tree.keyLo);
    } else {
      this.#encode(operations, tree);
    }
    this.#ahead++;
    return time;
  }

  /** As `record`. If the change set begins a frame, it takes what was encoded ahead: then no other may follow in the frame. */
  recordPrepared({ operations, encoded }: EncodedChanges, tree: Tree, options: CommitOptions | undefined): number {
    if (!this.#reigns) this.#beginReign();
    const time = this.#writer.changeSet(this.#time(), options?.author, options?.message, operations.length);
    if (encoded === undefined || !this.#writer.addEncoded(encoded)) this.#encode(operations, tree);
    this.#ahead++;
    return time;
  }

  #encode(operations: readonly NetOperation[], tree: Tree): void {
    let previous = ROOT;
    for (const { path, child } of operations) {
      tree.follow(path, previous);
      this.#writer.body.operation(tree.trail, path, child);
      previous = path;
    }
  }

  /** Another turn of the event loop began: the next commit reads the clock. */
  newTurn(): void {
    this.#timeUses = 0;
  }

  /**
   * Makes one frame of what was recorded since the last one, and appends it.
   * @returns whether there was something
   */
  cut(tree: Tree): boolean {
    if (this.#writer.count === 0) return false;
    this.#append(this.#writer.seal(this.#base(), tree.digest()), this.#head);
    return true;
  }

  /**
   * Begins an epoch of this site at the end of the history, with a frame of its own. Everything recorded has to be cut
   * before.
   * @param digest of the tree as it stands
   * @throws EvertreeError HISTORY_MISMATCH if the epoch may not follow the present one
   */
  beginEpoch({ number, id }: EpochName, reason: string, digest: string): void {
    const { last: base, epochs, marks } = this.#head;
    const { site } = this.#journal.identity;
    assertSucceeds(number, this.#head, site);
    const epoch: Epoch = { number, id, site, base, reason, time: this.#clock.now() };
    const frame = this.#writer.sealEpoch(this.#base(), digest, epoch);
    this.#append(frame, { epochs: withEpoch(epochs, { ...epoch, time: frame.header.firstTime }), marks });
    this.#reigns = true;
    this.holdPeers(true);
  }

  /**
   * Ends the present epoch with a handover frame. Everything recorded has to be cut before. As a commit would be, it is
   * preceded by a restart entry if it is the first frame of this opening.
   * @param digest of the tree as it stands
   */
  handOver(handover: Handover, digest: string): ExactPosition {
    if (!this.#reigns && this.#head.stream !== null) this.#beginReign();
    const { epochs, marks } = this.#head;
    this.#append(this.#writer.sealHandover(this.#base(), digest, handover, this.#clock.now()), { epochs: ended(epochs, handover), marks });
    return this.#head.last;
  }

  /**
   * Gives a name to the state at a revision, or to the present one, with a mark frame. Everything recorded has to be cut
   * before. As a commit would be, it is preceded by a restart entry if it is the first frame of this opening.
   */
  mark(name: string, revision: number | undefined, note: Pick<MarkCommit, 'author' | 'message'>): void {
    if (!this.#reigns) this.#beginReign();
    const own = this.#head.last.revision + 1;
    this.#appendMark({ name, back: revision === undefined ? 0 : own - revision, removed: false }, note);
  }

  /** Takes a name back, likewise. */
  unmark(name: string, note: Pick<MarkCommit, 'author' | 'message'>): void {
    if (!this.#reigns) this.#beginReign();
    this.#appendMark({ name, back: 0, removed: true }, note);
  }

  /** Moves to the end of a frame that was applied to the tree, and appends the frame. */
  follow(frame: Frame, note: FrameNote | undefined, trailer: Uint8Array | undefined): void {
    this.#moveTo(headAfter(this.#head, frame, note), frame.header.digest);
    this.#reigns = false;
    this.durability.appended(frame.header.last, frame.header.digest);
    this.#journal.log.append(frame, trailer);
    if (note?.epoch !== undefined) this.holdPeers(false);
  }

  /** Moves to where the journal's history was moved: to a snapshot with which it begins anew, or back. */
  replace(head: HistoryHead, digest: string): void {
    this.#moveTo(head, digest);
    this.#reigns = false;
    this.durability.reset({ position: head.last, digest });
    this.holdPeers(false);
  }

  /** The header of a snapshot of the tree. Everything recorded has to be cut before. */
  snapshotHeader(digest: string): SnapshotHeader {
    const { stream, last, chain } = this.#base();
    return { stream, position: last, digest, chain, epochs: this.epochs, marks: this.marks, time: this.time };
  }

  /**
   * Where another site leads, that one feeds whom this one fed as a primary: the positions that they had here never move
   * again, and would hold the history beyond every limit but that of its bytes. So they get an end. Where this site leads
   * again, those whose end has not come count as before.
   */
  holdPeers(leads: boolean): void {
    const { leases } = this.#journal;
    const now = this.#clock.now();
    for (const [site, { position, expiresAt = Infinity }] of leases.of('peer')) {
      const isEndless = expiresAt === Infinity;
      if (leads ? !isEndless && expiresAt > now : isEndless) leases.hold('peer', site, position, leads ? undefined : now + LEFT_PEER_MS);
    }
  }

  /** Begins the stream, or a restart entry of this site's epoch. */
  #beginReign(): void {
    const { stream, last } = this.#head;
    if (stream === null) this.#head = { ...this.#head, stream: toHex(this.#random.bytes(16)) };
    const [number, reason] = stream === null ? [1, 'first commit'] : [last.epoch, 'restart'];
    this.beginEpoch({ number, id: toHex(this.#random.bytes(8)) }, reason, this.#digest);
  }

  #appendMark(mark: MarkNote, { author, message }: Pick<MarkCommit, 'author' | 'message'>): void {
    // Not `#time`: no turn is scheduled after a mark, and commits of later turns would share its reading.
    const frame = this.#writer.sealMark(this.#base(), this.#digest, mark, { now: this.#clock.now(), author, message });
    const { epochs } = this.#head;
    this.#append(frame, { epochs, marks: marksAfterFrame(this.#head, frame) });
  }

  /** Moves to the end of a frame of this site's own, and appends the frame. */
  #append(frame: Frame, { epochs, marks }: Pick<HistoryHead, 'epochs' | 'marks'>): void {
    const { stream, last, digest, lastTime } = frame.header;
    // The hash is computed now and not when the next frame is cut: a large frame would stay in memory until then.
    this.#moveTo({ stream, last, epochs, marks, chain: frameHash(frame), time: lastTime }, digest);
    this.durability.appended(last, digest);
    this.#journal.log.append(frame);
  }

  /** The time of a commit. The clock is read for the first commit of a turn, and then once for CLOCK_SHARE commits. */
  #time(): number {
    if (this.#timeUses-- > 0) return this.#now;
    this.#timeUses = CLOCK_SHARE;
    return (this.#now = this.#clock.now());
  }

  /** The next change set will follow this head. Nothing may be recorded and not cut. */
  #moveTo(head: HistoryHead, digest: string): void {
    this.#head = head;
    this.#digest = digest;
    this.#position = head.last;
    this.#ahead = 0;
    this.#writer.lastTime = head.time;
  }

  /** What the next frame is sealed on. */
  #base(): { readonly stream: string; readonly last: ExactPosition; readonly chain: string } {
    let { chain } = this.#head;
    if (typeof chain !== 'string') {
      chain = frameHash(chain);
      this.#head = { ...this.#head, chain };
    }
    return { stream: this.#head.stream ?? NO_STREAM, last: this.#head.last, chain };
  }
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
