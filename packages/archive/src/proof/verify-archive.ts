import { type ErrorCode, EvertreeError, isEvertreeError } from '@evertree/core';
import { Pin } from '../prune/pin.ts';
import { movingHead } from '../publishing/head-mover.ts';
import { type ArchiveFinding, FindingList, type VerificationLevel } from './archive-finding.ts';
import type { ArchiveVerification, ArchiveVerificationOptions, VerifiedLine } from './archive-verification.ts';
import type { DrawnState } from './drawn-state.ts';
import { dueObjects } from './due-objects.ts';
import { LineProof } from './line-proof.ts';
import { ObjectCheck, revisionOf, sumOf } from './object-check.ts';
import { openArchive, type OpenedArchive } from './opened-archive.ts';
import { restorableText } from './restorable-spans.ts';
import { rebuildDrawn } from './state-rebuild.ts';
import { checkStored } from './stored-objects.ts';
import { VerifiedMemory } from './verified-memory.ts';
import { WatchedTarget } from './watched-target.ts';

/**
 * Proves that an archive is whole and sound, on a level: see VerificationLevel. What it verified is remembered in the
 * target, so that a later one reads what is new, and a part of the rest. Damage is told, not thrown.
 * @throws EvertreeError NOT_FOUND where there is no archive; IDENTITY_NEEDED; those of the target
 */
export async function verifyArchive(options: ArchiveVerificationOptions): Promise<ArchiveVerification> {
  const began = options.clock.monotonic();
  const list = new FindingList();
  const opened = await openArchive(options.target, list);
  await assertReadable(opened, options);
  await using pin = await pinOf(opened, options);
  const verification = await new ArchiveProof(options, opened, list).run();
  // An archive that is read while it is pruned may lack what the pin could not hold.
  const { notHeld } = pin ?? {};
  if (notHeld !== undefined) list.remark(notHeld.message);
  return { ...verification, milliseconds: Math.round(options.clock.monotonic() - began) };
}

async function pinOf({ head, hash }: OpenedArchive, { target, clock, random }: ArchiveVerificationOptions): Promise<Pin | undefined> {
  // What an older manifest names may have been pruned.
  if (hash === null || head?.manifest !== hash) return undefined;
  return Pin.hold(target, { manifest: hash, purpose: 'verify', clock, random, report: () => undefined });
}

async function assertReadable(
  { isEncrypted, head }: OpenedArchive,
  { target, level = 1, identities }: ArchiveVerificationOptions,
): Promise<void> {
  if (level < 2 || !isEncrypted) return;
  if (identities === undefined) {
    const message = `level ${level} reads what is encrypted in ${target.name}: give the identity of one of its recipients, or verify on level 1, which needs none`;
    throw new EvertreeError('IDENTITY_NEEDED', message);
  }
  const hashes = await identities.hashes();
  if (head === undefined || hashes.some(hash => head.recipients.includes(hash))) return;
  throw new EvertreeError('IDENTITY_NEEDED', `${target.name} is encrypted for others than the identity that was given`);
}

/** The verification was ended from outside. */
class Interrupted extends Error {}

/** One verification. */
class ArchiveProof {
  readonly #options: ArchiveVerificationOptions;
  readonly #opened: OpenedArchive;
  readonly #list: FindingList;
  readonly #level: VerificationLevel;
  #lines: readonly LineProof[] = [];
  #memory!: VerifiedMemory;
  #time = 0;
  #doneBytes = 0;
  #totalBytes = 0;
  #objectsRead = 0;
  #finished = false;
  #drawn: DrawnState | undefined;

  constructor(options: ArchiveVerificationOptions, opened: OpenedArchive, list: FindingList) {
    this.#options = options;
    this.#opened = opened;
    this.#list = list;
    this.#level = options.level ?? 1;
  }

  async run(): Promise<Omit<ArchiveVerification, 'milliseconds'>> {
    const { target, random } = this.#options;
    const { archive } = this.#opened;
    this.#time = await target.now();
    this.#memory = await VerifiedMemory.load({ target, random, archive }, this.#list);
    let due: ReadonlySet<string> = new Set();
    try {
      await this.#order();
      due = this.#due();
      for (const line of this.#lines) await (this.#level < 2 ? line.sums(due) : line.rebuild(due));
      if (this.#level === 3 && this.#lines.length > 0)
        this.#drawn = await rebuildDrawn({ ...this.#options, target: this.#watchedTarget() }, this.#list);
      this.#finished = true;
    } catch (error) {
      if (error instanceof Interrupted) return await this.#result(due);
      // What it did is not done again, whatever ended it.
      await this.#note().catch(() => undefined);
      throw error;
    }
    return await this.#result(due);
  }

  async #order(): Promise<void> {
    const { target, identities, clock } = this.#options;
    const { manifest } = this.#opened;
    if (manifest === undefined) return;
    const stored = await checkStored(target, manifest, this.#list);
    const check = new ObjectCheck(this.#watchedTarget(), this.#opened, this.#list);
    const common = {
      stream: manifest.stream,
      stored,
      check,
      memory: this.#memory,
      list: this.#list,
      opening: identities,
      clock,
      time: this.#time,
    };
    this.#lines = manifest.lines.map(line => new LineProof({ line, ...common, proceeded: () => this.#proceeded() }));
    for (const line of this.#lines) await line.order();
  }

  #due(): ReadonlySet<string> {
    if (this.#level === 0) return new Set();
    const needed = this.#lines.flatMap(line => line.needed);
    this.#memory.keep(needed, sumOf);
    // What is rebuilt on level 3 is drawn anew each time.
    const due = dueObjects(needed, this.#memory.objects, this.#level === 1 ? 1 : 2, this.#options.rotation);
    this.#totalBytes = needed.reduce((sum, { path, bytes }) => sum + (due.has(path) ? bytes : 0), 0);
    return due;
  }

  /** Counts what is fetched, and ends the work when that is wanted. */
  #watchedTarget(): WatchedTarget {
    return new WatchedTarget(this.#options.target, (_, found) => {
      if (this.#options.signal?.aborted === true) throw new Interrupted();
      const bytes = found?.bytes.length ?? 0;
      this.#objectsRead++;
      this.#doneBytes += bytes;
      this.#memory.read(bytes);
      this.#options.progress?.(this.#doneBytes, Math.max(this.#doneBytes, this.#totalBytes));
      return found;
    });
  }

  async #proceeded(): Promise<void> {
    if (this.#memory.isNoteDue) await this.#note();
  }

  /** Writes the report. @returns its key; undefined where the target takes none */
  async #note(): Promise<string | undefined> {
    for (const line of this.#lines) line.remember();
    try {
      return await this.#memory.note(this.#report(), this.#time);
    } catch (error) {
      if (!isEvertreeError(error, 'FORBIDDEN') && !isEvertreeError(error, 'STORAGE_FULL')) throw error;
      this.#list.remark(`what was verified can't be remembered: ${error.message}`);
      return undefined;
    }
  }

  #report(): Parameters<VerifiedMemory['note']>[0] {
    const { archive, hash } = this.#opened;
    const known = this.#lines.map(({ line, sections }) => ({
      line: line.id,
      position: sections.at(-1)?.end?.position ?? this.#memory.endOf(line.id),
    }));
    return {
      archive,
      manifest: hash,
      time: this.#time,
      level: this.#level,
      finished: this.#finished,
      passed: this.#finished && this.#list.count === 0,
      findings: this.#list.findings.map(({ level, object, line }) => ({ level, object, line })),
      lines: known.flatMap(({ line, position }) => (position === undefined ? [] : [{ line, position }])),
    };
  }

  async #result(due: ReadonlySet<string>): Promise<Omit<ArchiveVerification, 'milliseconds'>> {
    const report = await this.#note();
    if (this.#finished && report !== undefined) await this.#noteInHead(report);
    const { archive, stream, manifest } = this.#opened;
    const lines = this.#lines.map(line => this.#verifiedLine(line));
    const objects = manifest?.lines.flatMap(line => line.objects) ?? [];
    const needed = this.#lines.flatMap(line => line.needed);
    return {
      archive,
      stream,
      level: this.#level,
      passed: this.#finished && this.#list.count === 0,
      finished: this.#finished,
      lines,
      images: objects.filter(({ kind }) => kind === 'image').length,
      stretches: objects.filter(({ kind }) => kind === 'stretch').length,
      tailObjects: needed.filter(({ kind }) => kind === 'tail').length,
      commits: this.#lines.reduce((sum, line) => sum + commitsOf(line), 0),
      rebuiltCommits: this.#lines.reduce((sum, { counts }) => sum + counts.rebuiltCommits, 0),
      objectsRead: this.#objectsRead,
      objectsRemembered: this.#level === 0 ? 0 : needed.filter(({ path }) => !due.has(path)).length,
      bytesRead: this.#doneBytes,
      drawn: this.#drawn ?? null,
      findingCount: this.#list.count,
      findings: this.#findings(lines),
      remarks: this.#list.remarks,
      report: report ?? null,
    };
  }

  async #noteInHead(report: string): Promise<void> {
    const verified = { time: this.#time, level: this.#level, passed: this.#list.count === 0, report };
    try {
      await movingHead(this.#options.target, () => ({ head: { verified } }));
      await this.#memory.tidy(report);
    } catch (error) {
      // A HEAD that is damaged is among the findings, and stays as it is.
      if (!isEvertreeError(error) || !UNNOTED.has(error.code)) throw error;
      this.#list.remark(`HEAD does not name this verification: ${error.message}`);
    }
  }

  #verifiedLine(proof: LineProof): VerifiedLine {
    const end = proof.sections.at(-1)?.end;
    return { line: proof.line.id, position: end?.position ?? null, digest: end?.digest ?? null, restorable: proof.restorable() };
  }

  #findings(lines: readonly VerifiedLine[]): ArchiveFinding[] {
    return this.#list.findings.map(({ revision, ...finding }) => {
      const spans = lines.filter(({ line }) => finding.line === null || line === finding.line).flatMap(({ restorable }) => restorable);
      return { ...finding, restorable: restorableText(spans, revision) };
    });
  }
}

/** HEAD stays without the note then. */
const UNNOTED: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'DAMAGED', 'FORBIDDEN', 'STORAGE_FULL'] satisfies ErrorCode[]);

/** Revisions are dense: one a commit. */
function commitsOf({ sections }: LineProof): number {
  return sections.reduce((sum, { hasOrigin, items, end }) => {
    const first = items[0];
    const from = hasOrigin || first === undefined ? 0 : first.kind === 'image' ? first.image.position.revision : revisionOf(first);
    return sum + Math.max(0, (end?.position.revision ?? from) - from);
  }, 0);
}
