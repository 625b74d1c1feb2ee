import type { ExactPosition, Frame, StoredSnapshot } from '@evertree/core';
import type { ArchiveSource, SourceExtent } from './archive-source.ts';

/** How far a backup has read the history. */
export interface BackupProgress {
  readonly commits: number;
  /** With those that are left. */
  readonly ofCommits: number;
  /** Of the frames, before they are compressed. */
  readonly bytes: number;
}

/** Tells how far the frames have been read. */
export class CountedSource implements ArchiveSource {
  readonly #source: ArchiveSource;
  readonly #tell: (counted: BackupProgress) => void;
  #bytes = 0;
  /** The revision that the first frame followed. */
  #from: number | undefined;

  constructor(source: ArchiveSource, tell: (counted: BackupProgress) => void) {
    this.#source = source;
    this.#tell = tell;
  }

  get site(): string {
    return this.#source.site;
  }

  extent(): Promise<SourceExtent> {
    return this.#source.extent();
  }

  async *frames(after: ExactPosition): AsyncGenerator<Frame, void, undefined> {
    const { stable } = await this.#source.extent();
    for await (const frame of this.#source.frames(after)) {
      const { base, last } = frame.header;
      this.#from ??= base.revision;
      this.#bytes += frame.bytes.length;
      yield frame;
      this.#tell({ commits: last.revision - this.#from, ofCommits: stable.revision - this.#from, bytes: this.#bytes });
    }
  }

  chainAt(position: ExactPosition): Promise<string | undefined> {
    return this.#source.chainAt(position);
  }

  oldestSnapshot(): Promise<StoredSnapshot | undefined> {
    return this.#source.oldestSnapshot();
  }

  newestSnapshot(atOrBefore: ExactPosition): Promise<StoredSnapshot | undefined> {
    return this.#source.newestSnapshot(atOrBefore);
  }

  makeSnapshot(): Promise<boolean> {
    return this.#source.makeSnapshot();
  }
}
