import type { Disk, DiskFile, Frame, Random } from '@evertree/core';
import { frameHash, samePosition } from '@evertree/core';
import {
  decodeSegmentHeader,
  FileWindow,
  isSegmentName,
  listDirectory,
  readRecord,
  readSeal,
  removeFiles,
  SEGMENT_DIRECTORY,
  SEGMENT_HEADER_BYTES,
  segmentPath,
  SegmentWriter,
  TEMPORARY_SUFFIX,
} from '@evertree/journal/files';
import type { ChainEnd } from '../reading/frames-reader.ts';

/** A segment takes frames until it is this long. */
const SEGMENT_BYTES = 64 * 1024 * 1024;

/** A segment that takes frames. It has a temporary name until it is sealed. */
interface GrowingSegment {
  readonly path: string;
  readonly file: DiskFile;
  readonly writer: SegmentWriter;
}

/** The segments of a directory that is restored. What an earlier attempt wrote is read first, and then added to. */
export class RestoredHistory {
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #segmentBytes: number;
  #open: GrowingSegment | undefined;

  constructor(disk: Disk, random: Random, segmentBytes = SEGMENT_BYTES) {
    this.#disk = disk;
    this.#random = random;
    this.#segmentBytes = segmentBytes;
  }

  /**
   * Hands out the frames that an earlier attempt wrote, as far as they are sound, follow `base` and one another, and are
   * taken. What comes after them is removed, and writing goes on there.
   */
  async keep(base: ChainEnd, take: (frame: Frame) => boolean): Promise<void> {
    const names = (await listDirectory(this.#disk, SEGMENT_DIRECTORY)).filter(name => isSegmentName(sealedName(name)));
    const paths = names.map(name => `${SEGMENT_DIRECTORY}/${name}`);
    let end: ChainEnd | undefined = base;
    for (const [index, path] of paths.entries()) {
      end = await this.#keepSegment(path, end, take);
      if (end !== undefined) continue;
      await removeFiles(this.#disk, paths.slice(this.#open === undefined ? index : index + 1));
      return;
    }
  }

  /** Adds the frame that follows. */
  async write(frame: Frame): Promise<void> {
    this.#open ??= await this.#create(frame);
    const { writer } = this.#open;
    await writer.write({ frame, trailer: undefined });
    if (writer.bytes >= this.#segmentBytes) await this.seal();
  }

  /** Writes what is gathered: no frame that was added is held then. It need not be durable. */
  async flush(): Promise<void> {
    await this.#open?.writer.flush();
  }

  /** No frame follows in the segment that takes them. Makes it durable, under its name. */
  async seal(): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    try {
      await open.writer.seal();
    } finally {
      await open.file.close();
    }
    await this.#disk.rename(open.path + TEMPORARY_SUFFIX, open.path);
    await this.#disk.syncDirectory(SEGMENT_DIRECTORY);
  }

  /** Writes what is gathered, and closes the file. What is in it stays, for the next attempt. */
  async leave(): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    try {
      await open.writer.flush();
    } finally {
      await open.file.close();
    }
  }

  /** @returns where the segment ends; undefined if none can follow it: it is open then, or does not belong here */
  async #keepSegment(path: string, base: ChainEnd, take: (frame: Frame) => boolean): Promise<ChainEnd | undefined> {
    const file = await this.#disk.open(path, { write: true });
    try {
      const size = await file.size();
      const window = new FileWindow(file);
      const header = decodeSegmentHeader(await window.load(0, SEGMENT_HEADER_BYTES, size), path);
      if (header === undefined || !samePosition(header.base, base.position)) {
        await file.close();
        return undefined;
      }
      const writer = new SegmentWriter(file, header);
      let end = base;
      for (;;) {
        const record = await readRecord(window, writer.bytes, size, header.salt);
        if (record === undefined || !follows(record.frame, end) || !take(record.frame)) break;
        writer.adopt(record);
        end = { position: record.frame.header.last, chain: frameHash(record.frame) };
      }
      const seal = path.endsWith(TEMPORARY_SUFFIX) ? undefined : await readSeal(window, size, header.salt);
      if (seal?.offset === writer.bytes) {
        await file.close();
        return end;
      }
      await this.#goOn(path, { path: sealedName(path), file, writer });
      return undefined;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Lets a segment take frames after its last sound one. */
  async #goOn(found: string, open: GrowingSegment): Promise<void> {
    if (found === open.path) await this.#disk.rename(found, found + TEMPORARY_SUFFIX);
    await open.file.truncate(open.writer.bytes);
    this.#open = open;
  }

  async #create({ header: { base, last, stream } }: Frame): Promise<GrowingSegment> {
    const path = segmentPath({ epoch: last.epoch, revision: base.revision + 1 });
    const salt = Buffer.from(this.#random.bytes(4)).readUInt32LE(0);
    const file = await this.#disk.open(path + TEMPORARY_SUFFIX, { create: true, write: true });
    try {
      await file.truncate(0);
    } catch (error) {
      await file.close();
      throw error;
    }
    return { path, file, writer: new SegmentWriter(file, { stream, base, salt, generation: 0 }) };
  }
}

function follows({ header }: Frame, { position, chain }: ChainEnd): boolean {
  return samePosition(header.base, position) && header.previous === chain;
}

/** The name of a segment when it is sealed. */
function sealedName(name: string): string {
  return name.endsWith(TEMPORARY_SUFFIX) ? name.slice(0, -TEMPORARY_SUFFIX.length) : name;
}
