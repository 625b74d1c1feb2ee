import type { Disk, ExactPosition, Frame, Random, Snapshot } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import {
  listHistory,
  readSite,
  readUnfinished,
  removeFiles,
  removeUnfinished,
  SEGMENT_DIRECTORY,
  segmentPath,
  SegmentWriter,
  SITE_FILE,
  type SiteFile,
  SNAPSHOT_DIRECTORY,
  SnapshotFileWriter,
  snapshotPath,
  TEMPORARY_SUFFIX,
  type UnfinishedFile,
  writeSite,
  writeUnfinished,
} from '@evertree/journal/files';

/** A segment takes frames until it is this long. */
const SEGMENT_BYTES = 64 * 1024 * 1024;

/** A segment that is being written. */
interface SegmentUnderWay {
  readonly path: string;
  readonly writer: SegmentWriter;
  readonly close: () => Promise<void>;
}

/**
 * Makes the directory of a site from frames and snapshots. Until `finish` no site starts on it: site.json comes last, and
 * unfinished.json says what is under way. What is interrupted is begun anew.
 */
export class SiteWriter {
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #segmentBytes: number;
  #segment: SegmentUnderWay | undefined;

  private constructor(disk: Disk, random: Random, segmentBytes: number) {
    this.#disk = disk;
    this.#random = random;
    this.#segmentBytes = segmentBytes;
  }

  /**
   * Begins in an empty directory, or in one in which the same work did not end. The caller holds its lock.
   * @throws EvertreeError WRONG_ROLE if it holds something else
   */
  static async begin(disk: Disk, random: Random, unfinished: UnfinishedFile, segmentBytes = SEGMENT_BYTES): Promise<SiteWriter> {
    await disk.makeDirectory(SEGMENT_DIRECTORY);
    await disk.makeDirectory(SNAPSHOT_DIRECTORY);
    const held = await listHistory(disk);
    const isOurs = (await readUnfinished(disk))?.work === unfinished.work;
    if (!isOurs && (held.length > 0 || (await readSite(disk)) !== undefined)) {
      const found = held[0] ?? SITE_FILE;
      throw new EvertreeError('WRONG_ROLE', `the directory to write to holds ${found}; name one that is empty or absent`, { file: found });
    }
    await writeUnfinished(disk, unfinished);
    await removeFiles(disk, [SITE_FILE, ...held]);
    await disk.syncDirectory(SEGMENT_DIRECTORY);
    await disk.syncDirectory(SNAPSHOT_DIRECTORY);
    return new SiteWriter(disk, random, segmentBytes);
  }

  /** Adds the frame that follows. */
  async write(frame: Frame): Promise<void> {
    const { base, last, stream } = frame.header;
    this.#segment ??= await this.#create(stream, base, { epoch: last.epoch, revision: base.revision + 1 });
    const { writer } = this.#segment;
    await writer.write({ frame, trailer: undefined });
    if (writer.bytes >= this.#segmentBytes) await this.#seal();
  }

  /** Writes a snapshot, whole or not at all. */
  async snapshot(snapshot: Snapshot): Promise<void> {
    const path = snapshotPath(snapshot.position);
    const temporaryPath = path + TEMPORARY_SUFFIX;
    const publish = async () => {
      await this.#disk.rename(temporaryPath, path);
      await this.#disk.syncDirectory(SNAPSHOT_DIRECTORY);
    };
    const writer = await SnapshotFileWriter.begin(this.#disk, { header: snapshot.header, generation: 0, temporaryPath }, publish);
    try {
      for (const chunk of snapshot.chunks()) await writer.write(chunk);
      await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** The history is whole: seals it, and gives the directory its identity. */
  async finish(site: SiteFile): Promise<void> {
    await this.#seal();
    await writeSite(this.#disk, site);
    await removeUnfinished(this.#disk);
  }

  /** Closes what is open. The directory stays unfinished. */
  async abort(): Promise<void> {
    const segment = this.#segment;
    this.#segment = undefined;
    await segment?.close();
  }

  async #create(
    stream: string,
    base: ExactPosition,
    first: { readonly epoch: number; readonly revision: number },
  ): Promise<SegmentUnderWay> {
    const path = segmentPath(first);
    const salt = Buffer.from(this.#random.bytes(4)).readUInt32LE(0);
    const file = await this.#disk.open(path + TEMPORARY_SUFFIX, { create: true, write: true });
    return { path, writer: new SegmentWriter(file, { stream, base, salt, generation: 0 }), close: () => file.close() };
  }

  async #seal(): Promise<void> {
    const segment = this.#segment;
    if (segment === undefined) return;
    this.#segment = undefined;
    try {
      await segment.writer.seal();
    } finally {
      await segment.close();
    }
    await this.#disk.rename(segment.path + TEMPORARY_SUFFIX, segment.path);
    await this.#disk.syncDirectory(SEGMENT_DIRECTORY);
  }
}
