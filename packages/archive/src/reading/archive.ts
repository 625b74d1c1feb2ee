import { EvertreeError, type Frame, type Mark, type Reporter, type StoredSnapshot } from '@evertree/core';
import type { WhenLike } from '@evertree/history';
import type { Identities } from '../encryption/identities.ts';
import type { ArchiveHead } from '../format/archive-head.ts';
import type { ImageEntry, Manifest } from '../format/manifest.ts';
import { openPrivate } from '../format/private-part.ts';
import type { Target } from '../targets/target.ts';
import type { ChainEnd, GatheredFrame } from './frames-reader.ts';
import type { ReadPart } from './image-reader.ts';
import { type ArchiveProblem, type FramesEntry, type LineHistory, type Restorable, restorableStates } from './line-history.ts';
import { LineReader, type LineSpan, type MomentOptions } from './line-reader.ts';
import { chooseManifest, type ChosenManifest } from './manifest-choice.ts';
import { ObjectSource } from './object-source.ts';
import { namingDamage, namingOthers } from './other-lines.ts';
import { prefetch } from './prefetch.ts';
import { choiceInWords, nameOf, planOf, type RestorePlan } from './restore-plan.ts';
import { withNearest } from './nearest-error.ts';
import { standingLine } from './standing-line.ts';
import { followTails } from './tail-reader.ts';

/** Objects that are looked for at once. */
const STATS_AT_ONCE = 16;

export interface ReadingOptions {
  /** Undefined for an archive that is not encrypted, and where positions, times and sizes are enough. */
  readonly identities?: Identities | undefined;
  readonly report?: Reporter;
}

export interface PlanOptions extends MomentOptions {
  /** A line's id, the beginning of one, or its site's name; by default the line that stands. */
  readonly line?: string | undefined;
}

/**
 * An archive as it was when it was opened: what it holds, and the way back. Whoever reads what it names for longer than
 * a moment holds a pin on its manifest meanwhile.
 */
export class Archive {
  readonly target: Target;
  /** 32 hex digits. */
  readonly id: string;
  /** Undefined before the first backup. */
  readonly stream: string | undefined;
  /** Undefined where HEAD is missing or damaged. */
  readonly head: ArchiveHead | undefined;
  /** Undefined before the first backup. */
  readonly manifest: Manifest | undefined;
  readonly manifestHash: string | undefined;
  readonly isEncrypted: boolean;
  /** Every line with what its tails held. */
  readonly lines: readonly LineHistory[];
  /** What is wrong, as far as it was seen: objects that no tail or manifest leads to were not read. */
  readonly problems: readonly ArchiveProblem[];
  readonly #source: ObjectSource;
  /** With which plans were made: each may have opened what is read next. */
  readonly #planned = new WeakMap<RestorePlan, LineReader>();

  private constructor(
    target: Target,
    chosen: ChosenManifest,
    source: ObjectSource,
    lines: readonly LineHistory[],
    problems: readonly ArchiveProblem[],
  ) {
    this.target = target;
    this.head = chosen.head;
    this.manifest = chosen.manifest;
    this.manifestHash = chosen.manifestHash;
    this.id = idOf(chosen);
    this.stream = chosen.manifest?.stream ?? chosen.head?.stream ?? undefined;
    this.isEncrypted = isEncrypted(chosen);
    this.lines = lines;
    this.problems = problems;
    this.#source = source;
  }

  /**
   * Reads HEAD, the manifest and the tails.
   * @throws EvertreeError NOT_FOUND if there is no archive, DAMAGED, FORMAT_UNSUPPORTED, IDENTITY_NEEDED for an identity
   *   that is none of the archive's, and what the target throws
   */
  static async open(target: Target, { identities, report = () => undefined }: ReadingOptions = {}): Promise<Archive> {
    const chosen = await chooseManifest(target, report);
    await assertReadable(chosen, identities, target.name);
    const source = new ObjectSource(target, { archive: idOf(chosen), isEncrypted: isEncrypted(chosen), opening: identities });
    const problems: ArchiveProblem[] = chosen.problems.map(each => ({ line: undefined, ...each }));
    const lines: LineHistory[] = [];
    for (const line of chosen.manifest?.lines ?? []) {
      const site = (
        await openPrivate(line.private, { isEncrypted: isEncrypted(chosen), opening: identities, name: `the manifest of ${target.name}` })
      )?.site;
      const stretches = [
        ...line.objects.filter(object => object.kind === 'stretch'),
        ...(await followTails(target, source, line, problems)),
      ];
      const images = line.objects.filter(object => object.kind === 'image');
      const states = restorableStates(line.id, images, stretches, problems);
      lines.push({ id: line.id, line, site, images, stretches, gaps: line.gaps, states });
    }
    return new Archive(target, chosen, source, lines, problems);
  }

  /**
   * For whoever acts on what is read: an archive that he knows as encrypted must not become another one by a HEAD that
   * says so.
   * @throws EvertreeError CONFIGURATION_INVALID
   */
  assertEncryptedFor(identities: Identities | undefined): void {
    if (identities === undefined || this.isEncrypted) return;
    const { name } = this.target;
    const message =
      `${name} says that it is not encrypted, and an identity was given: whoever can write there may have put anything in its place; ` +
      'if it was never encrypted, leave the identity out';
    throw new EvertreeError('CONFIGURATION_INVALID', message, { target: name });
  }

  /** Everything that can be restored, line by line, oldest first. */
  states(): Restorable[] {
    return this.lines.flatMap(line => line.states);
  }

  /**
   * How a state would come back. Positions inside an object, times and marks take reading, and an identity if the
   * archive is encrypted. If no line is named, an error names those that have the state.
   * @param when by default the newest state
   * @throws EvertreeError NOT_FOUND, COMPACTED, POSITION_MISMATCH, HISTORY_MISMATCH, DAMAGED, IDENTITY_NEEDED
   */
  async plan(when?: WhenLike, options: PlanOptions = {}): Promise<RestorePlan> {
    const { line, chosen } = await this.#line(options.line);
    const reader = this.#reader(line);
    try {
      const plan = planOf({ archive: this.id, stream: this.stream! }, line, chosen, await reader.moment(when, options));
      this.#planned.set(plan, reader);
      return plan;
    } catch (thrown) {
      const others = options.line === undefined ? this.lines.filter(each => each !== line) : [];
      const error = namingDamage(thrown, [line, ...others], this.problems, this.target.name);
      throw await namingOthers(error, others, each => this.#reader(each).moment(when, options));
    }
  }

  /**
   * The frames of a plan, oldest first: those after its image, up to the one that holds its position. That last one may
   * go further. Each is checked against the one before, and each object against the manifest.
   * @param after a place in them, for whoever has those before it
   * @throws EvertreeError DAMAGED with `object` and `nearest`, the states that can still be restored
   */
  frames(plan: RestorePlan, after: ChainEnd | undefined = plan.image): AsyncGenerator<Frame> {
    return this.#planner(plan).frames(spanOf(plan, after));
  }

  /** The same, with what many of them change altogether. */
  gathered(plan: RestorePlan, after: ChainEnd | undefined): AsyncGenerator<GatheredFrame> {
    return this.#planner(plan).gathered(spanOf(plan, after));
  }

  /** With which a plan was made; to whoever asks again another one. */
  #planner(plan: RestorePlan): LineReader {
    const reader = this.#planned.get(plan) ?? this.#reader(this.#lineOf(plan));
    this.#planned.delete(plan);
    return reader;
  }

  /**
   * The frames of objects of one line that follow one another, from the first object's base on. Each is checked as in
   * `frames`.
   * @throws EvertreeError DAMAGED with `object` and `nearest`
   */
  async *framesOf(line: string, entries: readonly FramesEntry[]): AsyncGenerator<Frame> {
    const reader = this.#reader(this.#lineOf({ line }));
    const [first, last] = [entries.at(0), entries.at(-1)];
    if (first === undefined || last === undefined) return;
    const after = { position: first.base, chain: first.previous };
    yield* reader.frames({ after, entries, end: last.last.revision }, first.base.revision);
  }

  /**
   * An image as a snapshot: its head, and its chunks when they are asked for.
   * @throws EvertreeError DAMAGED with `object` and `nearest`
   */
  async image(line: string, image: ImageEntry): Promise<StoredSnapshot> {
    return this.#reader(this.#lineOf({ line })).image(image);
  }

  /**
   * The parts of a plan's image after the first `skipped`.
   * @throws EvertreeError DAMAGED with `object` and `nearest`
   */
  async *imageParts(plan: RestorePlan, skipped: number): AsyncGenerator<ReadPart> {
    if (plan.image !== undefined) yield* this.#reader(this.#lineOf(plan)).imageParts(plan.image, skipped);
  }

  /**
   * Whether all objects of a plan are there, each as long as the manifest says. Nothing of them is read.
   * @throws EvertreeError DAMAGED with `object` and `nearest`
   */
  async assertThere(plan: RestorePlan): Promise<void> {
    const objects = [...(plan.image?.parts ?? []), ...plan.stretches];
    try {
      for await (const _ of prefetch(objects, { items: STATS_AT_ONCE, bytes: Infinity, bytesOf: () => 0 }, object =>
        this.#source.assertThere(object),
      ));
    } catch (error) {
      throw withNearest(error, this.#lineOf(plan), plan.position.revision);
    }
  }

  /**
   * The line that a restore takes unless another one is named; undefined if there is none.
   * @param lines those of this archive, perhaps without objects that are missing
   */
  standing(lines = this.lines): Promise<LineHistory | undefined> {
    return standingLine(lines, async line => (await this.#reader(line).tables()).epochs);
  }

  /**
   * The name of the site that was the primary at the end of a line; undefined if the line has no states.
   * @throws EvertreeError DAMAGED, IDENTITY_NEEDED
   */
  async primaryOf(line: LineHistory): Promise<string | undefined> {
    return (await this.#reader(line).tables()).epochs.at(-1)?.site;
  }

  /**
   * The name of the site that was the primary at the state of a plan; undefined at the origin.
   * @throws EvertreeError DAMAGED, IDENTITY_NEEDED
   */
  async primaryAt(plan: RestorePlan): Promise<string | undefined> {
    const { image, stretches, position } = plan;
    const states = { images: image === undefined ? [] : [image], stretches, to: position };
    const { epochs } = await this.#reader(this.#lineOf(plan)).tables(states);
    // The last stretch may go on behind the state.
    return epochs.findLast(({ base }) => base.revision < position.revision)?.site;
  }

  /**
   * The marks at the end of a line, in the order in which they were set.
   * @throws EvertreeError DAMAGED, IDENTITY_NEEDED
   */
  async marks(line: LineHistory): Promise<readonly Mark[]> {
    const { marks } = await this.#reader(line).tables();
    return marks;
  }

  /** A line is one of the manifest, which names the stream. */
  #reader(line: LineHistory): LineReader {
    return new LineReader(this.#source, this.stream!, line);
  }

  #lineOf({ line }: { readonly line: string }): LineHistory {
    const found = this.lines.find(({ id }) => id === line);
    if (found === undefined) throw new EvertreeError('NOT_FOUND', `there is no line ${line} in ${this.target.name}`, { line });
    return found;
  }

  async #line(wanted: string | undefined): Promise<{ readonly line: LineHistory; readonly chosen: string | undefined }> {
    const standing = await this.standing();
    if (standing === undefined) throw this.#nothing();
    if (wanted === undefined) {
      if (standing.states.length === 0) throw this.#nothing();
      return { line: standing, chosen: choiceInWords(standing, this.lines) };
    }
    const found = this.lines.filter(({ id, site }) => id === wanted || site === wanted || (wanted.length >= 4 && id.startsWith(wanted)));
    if (found.length === 1) return { line: found[0]!, chosen: undefined };
    const problem =
      found.length === 0 ? `there is no line ${JSON.stringify(wanted)}` : `${JSON.stringify(wanted)} names ${found.length} lines`;
    const there = (found.length === 0 ? this.lines : found).map(nameOf).join(', ');
    throw new EvertreeError('NOT_FOUND', `${problem} in ${this.target.name}: there is ${there}`, { line: wanted });
  }

  #nothing(): EvertreeError {
    const problems = this.problems.map(({ text }) => `; ${text}`).join('');
    return new EvertreeError('NOT_FOUND', `${this.target.name} has no state that can be restored${problems}`, { target: this.target.name });
  }
}

function spanOf({ stretches, position }: RestorePlan, after: ChainEnd | undefined): LineSpan {
  const entries = stretches.filter(({ last }) => last.revision > (after?.position.revision ?? 0));
  return { after, entries, end: position.revision };
}

async function assertReadable(chosen: ChosenManifest, identities: Identities | undefined, name: string): Promise<void> {
  if (identities === undefined || !isEncrypted(chosen) || chosen.head === undefined) return;
  const known = new Set(chosen.head.recipients);
  if ((await identities.hashes()).some(hash => known.has(hash))) return;
  const message = `the identity that was given is none of those for whom ${name} is encrypted`;
  throw new EvertreeError('IDENTITY_NEEDED', message, { target: name });
}

function isEncrypted({ head, manifest }: ChosenManifest): boolean {
  if (head !== undefined) return head.recipients.length > 0;
  return manifest?.lines.some(line => typeof line.private === 'string') ?? false;
}

function idOf({ head, manifest }: ChosenManifest): string {
  return head?.archive ?? manifest!.archive;
}
