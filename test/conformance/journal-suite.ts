import type { ExactPosition, Frame, FrameReader, Identity, Journal, StoredFrame, StoredSnapshot } from '@evertree/core';
import { isEvertreeError } from '@evertree/core';
import type { JournalOptions } from '@evertree/journal';
import type { FaultDisk } from '../support/fault-disk.ts';
import type { FrameChain } from '../support/frame-chain.ts';

/** What an implementation supports, as it declares. Only these flags decide which cases are left out. */
export interface JournalSupports {
  /** What is stable survives the process: opening again gives it back. */
  readonly durable: boolean;
  /** Snapshots are kept and can be read. */
  readonly snapshots: boolean;
  /** Retention drops the history that nothing asks for. */
  readonly retention: boolean;
  /** The test can tear its last write, as a power loss does. */
  readonly tearing: boolean;
  /** `close` makes pending frames stable. */
  readonly settlesAtClose: boolean;
  /** Its place records whose it is, and one process at a time holds it. */
  readonly ownsPlace: boolean;
  /** It never keeps more bytes of frames than this. */
  readonly ringBytes?: number;
}

/** A place for one journal, and what a test can do to it. */
export interface JournalPlace extends AsyncDisposable {
  /** Opens the journal there, for the first time or again. */
  readonly open: (identity: Partial<Identity> | undefined, options: JournalOptions) => Promise<Journal>;
  /** The process dies: nothing more is written, nothing is closed. Only called if `durable`. */
  readonly crash?: () => Promise<void>;
  /** Damages the last `bytes` that were written. Only called if `tearing`, after `crash` or `close`. */
  readonly tear?: (bytes: number) => Promise<void>;
}

/** What the cases of one implementation use. */
export interface JournalSuite {
  readonly supports: JournalSupports;
  /** Opens a new journal. All journals are closed after the case. */
  readonly prepare: (options?: JournalOptions, identity?: Partial<Identity>) => Promise<PreparedJournal>;
  /** Opens one with so many stable frames, in several segments. */
  readonly filled: (frames: number, bytes?: number) => Promise<PreparedJournal>;
}

export interface PreparedJournal {
  readonly journal: Journal;
  readonly chain: FrameChain;
  /** Opens it again, after it was closed or the process died. */
  readonly open: (identity?: Partial<Identity>) => Promise<Journal>;
  /** The process dies. */
  readonly crash: () => Promise<void>;
  readonly tear: (bytes: number) => Promise<void>;
}

/** Waits for a progress that makes `condition` true; the test's own time limit bounds it. */
export async function until(journal: Journal, condition: () => boolean): Promise<void> {
  if (condition()) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = journal.log.onProgress(() => {
    if (condition()) resolve();
  });
  await promise;
}

/** Appends frames in groups of a few, so that they spread over segments. */
export async function fill(journal: Journal, chain: FrameChain, frames: number, bytes: number): Promise<void> {
  for (let index = 0; index < frames; index++) {
    journal.log.append(chain.next({ bytes }));
    if (index % 5 === 4) await journal.log.flush();
  }
  await journal.log.flush();
}

export async function readAll(journal: Journal, position: ExactPosition) {
  await using reader = closing(journal.log.read(position));
  const frames: StoredFrame[] = [];
  for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) frames.push(stored);
  return frames.map(asTexts);
}

/** As readAll, by a reader whose bytes are looked at before the next frame is asked for. */
export async function readFleeting(journal: Journal, position: ExactPosition) {
  await using reader = closing(journal.log.read(position, { fleeting: true }));
  const frames = [];
  for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) frames.push(asTexts(stored));
  return frames;
}

function asTexts({ frame, trailer }: StoredFrame) {
  return { bytes: latin1(frame.bytes), trailer: trailer && latin1(trailer) };
}

export function expectedFrames(frames: readonly Frame[]) {
  return frames.map(frame => ({ bytes: latin1(frame.bytes), trailer: undefined as string | undefined }));
}

export async function chunksOf(stored: StoredSnapshot | undefined): Promise<string[]> {
  const chunks: string[] = [];
  for await (const chunk of stored?.chunks() ?? []) chunks.push(latin1(chunk));
  return chunks;
}

export async function save(journal: Journal, chain: FrameChain, chunks: readonly string[]): Promise<void> {
  const writer = await journal.snapshots.create(chain.snapshotHeader());
  for (const chunk of chunks) await writer.write(Buffer.from(chunk, 'latin1'));
  await writer.commit();
}

export async function thrown(attempt: () => unknown): Promise<unknown> {
  try {
    await attempt();
  } catch (error) {
    if (isEvertreeError(error)) return error;
    throw error;
  }
  return 'nothing was thrown';
}

export function closing(reader: FrameReader): FrameReader & AsyncDisposable {
  return { next: () => reader.next(), close: () => reader.close(), [Symbol.asyncDispose]: () => reader.close() };
}

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function identityOf({ identity }: Journal): Identity {
  return { site: identity.site, role: identity.role };
}

/** The segment of a disk in memory that takes frames. */
export function newestSegment(disk: FaultDisk): string {
  return disk.files
    .filter(path => path.startsWith('journal/') && path.endsWith('.evj'))
    .toSorted()
    .at(-1)!;
}

/** The offset after the last byte of a segment that is no zero. */
export function lastByte(content: Buffer): number {
  let end = content.length;
  while (content[end - 1] === 0) end--;
  return end;
}
