import type { Disk, ExactPosition, Frame, FrameHeader, FrameLog, FrameReader, JournalState } from '@evertree/core';
import type { GroupCommit } from './groups/group-commit.ts';
import type { FindOptions } from './segments/found.ts';
import type { History } from './segments/history.ts';
import { findFrame, HistoryReader } from './segments/history-reader.ts';

/** The log of a journal on disk: `GroupCommit` writes it, `History` knows what is stable of it. */
export class DiskLog implements FrameLog {
  readonly durable = true;
  readonly #disk: Disk;
  readonly #history: History;
  readonly #commit: GroupCommit;

  constructor(disk: Disk, history: History, commit: GroupCommit) {
    this.#disk = disk;
    this.#history = history;
    this.#commit = commit;
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

  read(position: ExactPosition): FrameReader {
    this.#commit.assertOpen();
    return new HistoryReader(this.#disk, this.#history, this.#commit, position);
  }

  async find(position: ExactPosition, options?: FindOptions): Promise<FrameHeader | undefined> {
    this.#commit.assertOpen();
    return findFrame(this.#disk, this.#history, position, options);
  }
}
