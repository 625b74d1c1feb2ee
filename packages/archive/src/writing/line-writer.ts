import type { Random, Report, StoredSnapshot } from '@evertree/core';
import { EvertreeError, formatPosition, isEvertreeError, NO_CHAIN, ORIGIN, samePosition } from '@evertree/core';
import type { Sealing } from '../encryption/sealing.ts';
import type { ArchivedObject, ArchiveLine, CondemnedObject, GapNote, TailNote } from '../format/manifest.ts';
import { sealPrivate } from '../format/private-part.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiverEvents, ArchiverOptions } from './archiver-options.ts';
import { assertUsable, siteId } from './archive-use.ts';
import type { ArchivedEnd, ProvenPosition } from './frame-batch.ts';
import { HistoryMoved } from './history-moved.ts';
import { type ImageOwner, ImageWriter } from './image-writer.ts';
import { type ArchivedLineEnd, endOfObject, tailStretches } from './line-end.ts';
import { chooseLine, type Continuation, type ContinuationParts, drawId, needSnapshot } from './line-opening.ts';
import { endOf, LinePublisher, newestImage } from './line-publisher.ts';
import { ObjectWriter, type WrittenCounts } from './object-writer.ts';
import type { HeadPublisher } from '../publishing/head-publisher.ts';
import { StretchWriter } from './stretch-writer.ts';

/** After so many objects they are published, so that a death does not lose much of the work. */
const PUBLISH_OBJECTS = 32;
/** An image is made when the frames behind the last one are more than it, and than this. */
const IMAGE_LEAST_BYTES = 64 * 1024 * 1024;

export interface LineParts extends Omit<ContinuationParts, 'report'> {
  readonly target: Target;
  readonly sealing: Sealing;
  readonly random: Random;
  readonly options: ArchiverOptions;
  readonly events: Pick<ArchiverEvents, 'report' | 'lease'>;
  readonly publisher: HeadPublisher;
  /** The history was not held all the time: the reason of a gap. */
  readonly wasFull: () => boolean;
  /** Is told when what the line has was published while it catches up. */
  readonly published?: (writer: LineWriter) => void;
}

/** Adds to one line what the archive lacks of a site's history: stretches, images, gaps. */
export class LineWriter {
  readonly owner: ImageOwner;
  readonly writer: ObjectWriter;
  readonly stretches: StretchWriter;
  readonly #parts: LineParts;
  readonly #line: LinePublisher;
  /** The run that archive.json has to name beside this one until the first publication; undefined for a new line. */
  readonly #runBefore: string | undefined;
  /** As it was published last. */
  #published: Pick<ArchiveLine, 'objects' | 'gaps'>;
  /** Written, and not published yet. */
  #objects: ArchivedObject[] = [];
  #gaps: Omit<GapNote, 'time'>[] = [];
  #condemned: Omit<CondemnedObject, 'since'>[];
  /** Where the objects of the line end; undefined for a new line. */
  #end: ArchivedEnd | undefined;
  /** Where it ended when it was opened: until its objects hold what its former tails hold, those stay. */
  readonly #before: ArchivedLineEnd | undefined;
  #isOwn = false;

  private constructor(parts: LineParts, opened: OpenedLine) {
    const { owner, from, site, sealed, stream } = opened;
    this.#parts = parts;
    this.owner = owner;
    this.writer = new ObjectWriter(parts.target, parts.sealing);
    this.stretches = new StretchWriter(this.writer, owner);
    const line = from.kind === 'line' ? from.line : undefined;
    const usage = { target: parts.target.name, archive: owner.archive, stream, sealing: parts.sealing };
    this.#line = new LinePublisher(parts.publisher, usage, { owner, site, private: line?.private ?? sealed, run: line?.run });
    this.#runBefore = line?.run;
    this.#before = from.kind === 'line' ? from.end : undefined;
    this.#published = { objects: line?.objects ?? [], gaps: line?.gaps ?? [] };
    this.#condemned = from.kind === 'line' ? [...from.end.found] : [];
    this.#end = from.kind === 'line' ? from.end.objects : undefined;
  }

  /**
   * Finds the line of a site, or begins one. Nothing is published yet.
   * @returns undefined before the site's first commit
   * @throws EvertreeError as `HeadPublisher.read`; STREAM_MISMATCH, CONFIGURATION_INVALID: this site must not write there
   */
  static async open(parts: LineParts): Promise<LineWriter | undefined> {
    const state = await parts.publisher.read();
    const { archive } = state.head;
    const { stream } = await parts.source.extent();
    if (stream === undefined) return undefined;
    assertUsable(state.head, { target: parts.target.name, archive, stream, sealing: parts.sealing });
    if (!state.head.conditions) parts.events.report(unconditional(parts.target.name));
    const from = await chooseLine({ ...parts, report: parts.events.report }, state);
    const owner = { archive, line: from.kind === 'line' ? from.line.id : drawId(parts.random), run: drawId(parts.random) };
    const { site } = parts.source;
    const sealed = await sealPrivate({ site }, parts.sealing);
    const opened = new LineWriter(parts, { owner, from, site: siteId(archive, site), sealed, stream });
    const { base } = await parts.source.extent();
    if (from.kind === 'line' && from.end.objects.position.revision < base.revision) await opened.#adoptTails();
    return opened;
  }

  get counts(): WrittenCounts {
    return this.writer.counts;
  }

  /** How many objects of the line the manifest has. */
  get entries(): number {
    return this.#published.objects.length;
  }

  get gaps(): readonly GapNote[] {
    return this.#published.gaps;
  }

  /** Where the objects of the line end. Only behind `catchUp`. */
  get end(): ArchivedEnd {
    return this.#end!;
  }

  /** Everything up to here could be restored when the line was opened; undefined for a new line. */
  get endBefore(): ArchivedEnd | undefined {
    const end = this.#before?.tails;
    return end?.position.revision === 0 ? undefined : end;
  }

  /** Whether something waits for being published. */
  get hasNews(): boolean {
    return this.#objects.length + this.#gaps.length > 0;
  }

  /** Whether its objects hold all that its former tails hold. Before that publishing would take something away. */
  get holdsTails(): boolean {
    return this.#before === undefined || this.end.position.revision >= this.#before.tails.position.revision;
  }

  /** Adds what is stable now, and publishes on the way. @throws HistoryMoved */
  async catchUp(): Promise<void> {
    const { source } = this.#parts;
    const { base, stable } = await source.extent();
    if (this.#end === undefined || this.#end.position.revision < base.revision) await this.#begin();
    this.hold(this.end);
    await this.#readOn();
    // A damaged journal may be sound again where they end.
    if (!this.holdsTails && (await this.#adoptTails())) await this.#readOn();
    if (this.end.position.revision < stable.revision) throw new HistoryMoved(this.end);
    await this.addImageIfDue();
  }

  async #readOn(): Promise<void> {
    for await (const stretch of this.stretches.write(this.end, this.#parts.source.frames(this.end.position))) {
      this.writer.counts.commits += stretch.commits;
      this.add([stretch]);
      if (this.#objects.length < PUBLISH_OBJECTS || !this.holdsTails) continue;
      await this.publish([]);
      this.hold(this.end);
      this.#parts.published?.(this);
    }
  }

  /** Takes objects that are in the target, in their order. */
  add(objects: readonly ArchivedObject[], condemned: readonly Omit<CondemnedObject, 'since'>[] = []): void {
    this.#objects.push(...objects);
    this.#condemned.push(...condemned);
    for (const object of objects) {
      const isFurther = this.#end === undefined || endOf(object).revision >= this.#end.position.revision;
      if (isFurther) this.#end = endOfObject(object);
    }
  }

  /** Publishes all that was added. @param tails all that the line has from now on */
  async publish(tails: readonly TailNote[]): Promise<void> {
    if (!this.#isOwn) await this.#claim();
    const [objects, gaps, condemned] = [[...this.#objects], [...this.#gaps], [...this.#condemned]];
    const adopted = new Set(objects.map(object => (object.kind === 'stretch' ? object.path : '')));
    const change = { objects, gaps, tails, condemned: condemned.filter(({ path }) => !adopted.has(path)) };
    this.#published = await this.#line.publish(change);
    // What was added meanwhile waits for the next time.
    this.#objects = this.#objects.slice(objects.length);
    this.#gaps = this.#gaps.slice(gaps.length);
    this.#condemned = this.#condemned.slice(condemned.length);
    if (this.#isOwn) return;
    this.#isOwn = true;
    await this.#parts.lines.write({ ...this.owner, target: this.#parts.target.name });
  }

  /** Whether the line is still its own. @throws LineLost */
  check(): Promise<void> {
    return this.#line.check();
  }

  /** Writes an image of the newest snapshot that the line holds, if one is due. @returns whether one is due and there is no snapshot for it */
  async addImageIfDue(): Promise<boolean> {
    if (!this.#isImageDue()) return false;
    const last = newestImage(this.#all)?.position.revision ?? 0;
    const newest = await this.#parts.source.newestSnapshot(this.end.position);
    if (newest === undefined || newest.header.position.revision <= last) return true;
    const image = await this.#writeImage(newest);
    if (image !== undefined) this.#objects.push(image);
    return false;
  }

  /** Holds the history for the archive from here on. */
  hold({ position }: ProvenPosition): void {
    this.#parts.events.lease({ name: this.owner.archive, position });
  }

  get #all(): readonly ArchivedObject[] {
    return [...this.#published.objects, ...this.#objects];
  }

  /** By the times of commits: a site that does not change needs no image. */
  #isImageDue(): boolean {
    const objects = this.#all;
    const image = newestImage(objects);
    const from = image?.position.revision ?? 0;
    const behind = objects.filter(object => object.kind === 'stretch').filter(({ last }) => last.revision > from);
    const first = behind[0];
    if (first === undefined) return false;
    const bytes = behind.reduce((sum, { plainBytes }) => sum + plainBytes, 0);
    if (bytes > Math.max(IMAGE_LEAST_BYTES, image?.plainBytes ?? 0)) return true;
    return behind.at(-1)!.lastTime - (image?.time ?? first.firstTime) >= this.#parts.options.imageEveryMs;
  }

  /** Begins a line, or goes on behind a gap: at the origin, or with an image. */
  async #begin(): Promise<void> {
    const { base } = await this.#parts.source.extent();
    if (this.#end === undefined && samePosition(base, ORIGIN)) {
      this.#end = { position: ORIGIN, chain: NO_CHAIN, time: 0, digest: '' };
      return;
    }
    for (;;) {
      const oldest = await needSnapshot(this.#parts.source, base);
      this.hold(oldest.header);
      const image = await this.#writeImage(oldest);
      if (image === undefined) continue;
      this.#noteGap(oldest);
      this.add([image]);
      return;
    }
  }

  #noteGap({ header: { position: to } }: StoredSnapshot): void {
    if (this.#end === undefined) return;
    const reason = this.#parts.wasFull() ? 'spool-full' : 'history-gone';
    const { position: from } = this.#end;
    this.#gaps.push({ from, to, reason });
    const why = reason === 'spool-full' ? 'the target was away for too long' : 'this site had dropped them before they were archived';
    const message = `the archive ${this.#parts.target.name} lacks the commits between ${formatPosition(from)} and ${formatPosition(to)}: ${why}; it goes on from there with an image`;
    this.#parts.events.report({ level: 'error', event: 'archive-gap', message, details: { from, to, reason } });
  }

  /** @returns undefined if retention has removed the snapshot meanwhile */
  async #writeImage(snapshot: StoredSnapshot): Promise<ArchivedObject | undefined> {
    const { position, chain } = snapshot.header;
    const found = await this.#parts.source.chainAt(position);
    if (found !== undefined && found !== chain) {
      const message = `the snapshot of ${formatPosition(position)} is not of the history in the journal: run "evertree verify" on the directory`;
      throw new EvertreeError('DAMAGED', message, { position, expected: found, found: chain });
    }
    try {
      return await ImageWriter.write(this.writer, this.owner, snapshot);
    } catch (error) {
      if (isEvertreeError(error, 'COMPACTED')) return undefined;
      throw error;
    }
  }

  /**
   * What the journal can't give any more, and the tails have, becomes stretches as it is.
   * @returns whether they lead further than the journal
   */
  async #adoptTails(): Promise<boolean> {
    const before = this.#before;
    if (before === undefined || this.#gaps.length > 0) return false;
    const stretches = await tailStretches(this.#parts.target, before);
    if ((stretches.at(-1)?.last.revision ?? 0) <= this.end.position.revision) return false;
    this.#objects = [];
    this.#end = before.objects;
    this.add(stretches);
    return true;
  }

  /** Before its run is published, so that the next start knows that it was this directory. */
  async #claim(): Promise<void> {
    const { archive, line, run } = this.owner;
    await this.#parts.lines.write({ archive, line, run: this.#runBefore ?? run, next: run, target: this.#parts.target.name });
  }
}

function unconditional(target: string): Report {
  const message = `${target} does not refuse what its conditions forbid: only one site may write to this archive, or they overwrite HEAD for one another`;
  return { level: 'warn', event: 'archive-unconditional', message, details: { target } };
}

interface OpenedLine {
  readonly owner: ImageOwner;
  readonly from: Continuation;
  readonly site: string;
  readonly sealed: ArchiveLine['private'];
  readonly stream: string;
}
