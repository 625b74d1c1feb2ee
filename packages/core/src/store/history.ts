import type { CommitOptions } from '../transactions/commit.ts';
import { emptyDigest } from '../tree/digest.ts';
import { Durability } from './durability.ts';
import { EvertreeError } from '../errors.ts';
import { FrameWriter } from '../frames/frame-writer.ts';
import { frameHash, type BodyCodec, type Frame } from '../frames/frame.ts';
import type { Clock, Random } from '../seams/host.ts';
import type { Journal, SnapshotHeader } from '../seams/journal.ts';
import type { NetOperation } from '../transactions/net-operations.ts';
import { formatPosition, samePosition, type Epoch, type ExactPosition } from '../position.ts';
import { placeAfter, type Place } from './recovery.ts';
import type { Tree } from '../tree/tree.ts';

/** Commits of one turn of the event loop that share a reading of the clock: it costs a tenth of a commit. */
const CLOCK_SHARE = 64;

const NO_STREAM = '0'.repeat(32);

/** A tree's place in its stream, and the way of its commits into the journal. */
export class History {
  readonly durability: Durability;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #writer: FrameWriter;
  #place: Place;
  /** The last frame's end, and how many commits have come after it. */
  #position: ExactPosition;
  #ahead = 0;
  #now = 0;
  #timeUses = 0;
  /** The frame that ends at the place, until its hash is asked for. */
  #unhashed: Frame | undefined;

  constructor(
    options: { readonly journal: Journal; readonly clock: Clock; readonly random: Random; readonly encoding: BodyCodec },
    place: Place,
    digest: string,
  ) {
    this.#journal = options.journal;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#place = place;
    this.#position = place.position;
    this.#writer = new FrameWriter(options.encoding, place.position, place.chain, place.time);
    this.durability = new Durability(options.journal, { position: place.position, digest });
  }

  /** The last commit's, in memory. Made when it is asked for: most commits are not asked. */
  get position(): ExactPosition {
    if (this.#ahead > 0) {
      const { epoch, epochId, revision } = this.#position;
      this.#position = { epoch, epochId, revision: revision + this.#ahead };
      this.#ahead = 0;
    }
    return this.#position;
  }

  get epoch(): number {
    return this.#position.epoch;
  }

  get revision(): number {
    return this.#position.revision + this.#ahead;
  }

  get stream(): string | null {
    return this.#place.stream;
  }

  get epochs(): readonly Epoch[] {
    return this.#place.epochs;
  }

  /** Commit time of the last commit, milliseconds since 1970; 0 before the first. */
  get time(): number {
    return Math.max(this.#place.time, this.#writer.lastTime);
  }

  /** Change sets that are not cut into a frame yet, and their bytes. */
  get openCount(): number {
    return this.#writer.count;
  }

  get openBytes(): number {
    return this.#writer.count === 0 ? 0 : this.#writer.body.length;
  }

  /**
   * Gives a change set the next revision and encodes it. The first commit of all begins the stream and its first epoch.
   * @param operations what the tree has gone through already
   * @param onTrail there is a single one, nothing was tried after it, and so the tree's trail still leads along its path
   * @returns its commit time
   */
  record(operations: readonly NetOperation[], tree: Tree, onTrail: boolean, options: CommitOptions | undefined): number {
    if (this.#place.stream === null) this.#beginStream();
    const time = this.#writer.changeSet(this.#time(), options?.author, options?.message, operations.length);
    for (const { path, child } of operations) {
      if (!onTrail) tree.follow(path);
      this.#writer.body.operation(tree.trail, path, child);
    }
    this.#ahead++;
    return time;
  }

  /** Has the clock read anew: another turn of the event loop began. */
  newTurn(): void {
    this.#timeUses = 0;
  }

  /** Makes one frame of what was recorded since the last, and appends it. */
  cut(tree: Tree): void {
    this.#append(this.#writer.cut(this.#place.stream ?? NO_STREAM, tree.digest()));
  }

  /** @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH when a frame does not follow the position */
  checkFollows(frame: Frame): void {
    const { stream, base } = frame.header;
    const own = this.#place.stream;
    if (own !== null && own !== stream) {
      throw new EvertreeError('STREAM_MISMATCH', `a frame belongs to the stream ${stream}, but this site holds ${own}`, {
        expected: own,
        found: stream,
      });
    }
    if (samePosition(base, this.position)) return;
    const message =
      `a frame follows ${formatPosition(base)} (epoch id ${base.epochId}), ` +
      `but the tree stands at ${formatPosition(this.position)} (epoch id ${this.position.epochId})`;
    throw new EvertreeError('HISTORY_MISMATCH', message, { expected: this.position, found: base });
  }

  /** Goes on to the end of a frame that was applied, and appends it. */
  follow(frame: Frame, note: { readonly site: string; readonly reason: string } | undefined, trailer: Uint8Array | undefined): void {
    this.#place = placeAfter(this.#place, frame, note);
    this.#unhashed = frame;
    this.#moveTo(frame.header.last);
    this.durability.appended(frame.header.last, frame.header.digest);
    this.#journal.log.append(frame, trailer);
  }

  /** Goes on from a snapshot that the journal has taken in its history's place. */
  replace({ stream, position, epochs, chain, time, digest }: SnapshotHeader): void {
    this.#place = { stream, position, epochs, chain, time };
    this.#unhashed = undefined;
    this.#moveTo(position);
    this.durability.reset({ position, digest });
  }

  /** The head of a snapshot of the tree as it stands; everything recorded has to be cut. */
  snapshotHeader(digest: string): SnapshotHeader {
    const { stream, epochs } = this.#place;
    return { stream: stream ?? NO_STREAM, position: this.position, digest, chain: this.#chain(), epochs, time: this.time };
  }

  #beginStream(): void {
    const epoch: Epoch = {
      number: 1,
      id: toHex(this.#random.bytes(8)),
      site: this.#journal.identity.site,
      base: this.position,
      reason: 'first commit',
      time: this.#clock.now(),
    };
    const stream = toHex(this.#random.bytes(16));
    this.#place = { ...this.#place, stream, epochs: [epoch] };
    const frame = this.#writer.beginEpoch(stream, emptyDigest(), epoch);
    this.#append(frame);
  }

  #append(frame: Frame): void {
    this.#moveTo(frame.header.last);
    this.#place = { ...this.#place, position: frame.header.last, chain: this.#writer.chain, time: frame.header.lastTime };
    this.durability.appended(frame.header.last, frame.header.digest);
    this.#journal.log.append(frame);
  }

  /** The clock's time, read anew for a turn's first commit and every CLOCK_SHARE after it. */
  #time(): number {
    if (this.#timeUses-- > 0) return this.#now;
    this.#timeUses = CLOCK_SHARE;
    return (this.#now = this.#clock.now());
  }

  #moveTo(position: ExactPosition): void {
    this.#position = position;
    this.#ahead = 0;
  }

  #chain(): string {
    if (this.#unhashed !== undefined) {
      this.#place = { ...this.#place, chain: frameHash(this.#unhashed) };
      this.#unhashed = undefined;
    }
    return this.#place.chain;
  }
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
