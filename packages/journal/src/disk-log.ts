import type { Disk, Divergence, ExactPosition, Frame, FrameHeader, FrameLog, FrameReader, JournalState } from '@evertree/core';
import { readFailed } from './groups/failure.ts';
import type { GroupCommit } from './groups/group-commit.ts';
import type { Rewinder } from './rewind/rewinder.ts';
import type { FindOptions } from './segments/frame-search.ts';
import { findByTime, findFrame } from './segments/frame-search.ts';
import type { SegmentList } from './segments/segment-list.ts';
import { HistoryReader } from './segments/history-reader.ts';

/** The log of a journal on disk. `GroupCommit` writes it; `SegmentList` knows which frames are stable. */
export class DiskLog implements FrameLog {
  readonly durable = true;
  readonly #disk: Disk;
  readonly #history: SegmentList;
  readonly #commit: GroupCommit;
  readonly #rewinder: Rewinder;

  constructor(parts: { disk: Disk; history: SegmentList; commit: GroupCommit; rewinder: Rewinder }) {
    this.#disk = parts.disk;
    this.#history = parts.history;
    this.#commit = parts.commit;
    this.#rewinder = parts.rewinder;
  }

  get state(): JournalState {
    return this.#commit.state;
  }

  get failure(): Error | undefined {
    return this.#commit.failure;
  }

  get base(): ExactPosition {
    return this.#history.base;
  }

  get last(): ExactPosition {
    return this.#commit.last;
  }

  get stable(): ExactPosition {
    return this.#history.stable;
  }

  get pendingBytes(): number {
    return this.#commit.pendingBytes;
  }

  get busy(): boolean {
    return this.#commit.busy;
  }

  append(frame: Frame, trailer?: Uint8Array): void {
    this.#commit.append(frame, trailer?.length === 0 ? undefined : trailer);
  }

  flushSync(): void {
    this.#commit.flushSync();
  }

  flush(): Promise<void> {
    return this.#commit.flush();
  }

  onProgress(listener: () => void): Disposable {
    return this.#commit.events.on('progress', listener);
  }

  read(position: ExactPosition, { fleeting = false }: { readonly fleeting?: boolean } = {}): FrameReader {
    this.#commit.assertOpen();
    return new HistoryReader({ disk: this.#disk, history: this.#history, commit: this.#commit }, position, fleeting);
  }

  async find(position: ExactPosition, options?: FindOptions): Promise<FrameHeader | undefined> {
    this.#commit.assertOpen();
    return findFrame(this.#disk, this.#history, position, options).catch(rethrow);
  }

  async findByTime(time: number): Promise<FrameHeader | undefined> {
    this.#commit.assertOpen();
    return findByTime(this.#disk, this.#history, time).catch(rethrow);
  }

  rewind(position: ExactPosition, keep: (divergence: Divergence) => Promise<void>, moved?: () => void): Promise<void> {
    return this.#rewinder.rewind(position, keep, moved);
  }
}

function rethrow(error: unknown): never {
  throw readFailed(error);
}
