import type { Disk, KeptDivergence } from '@evertree/core';
import { formatExactPosition, frameHash, samePosition } from '@evertree/core';
import {
  DIVERGENCE_DIRECTORY,
  divergenceOf,
  divergencePath,
  isMissing,
  readRecordFile,
  SEGMENT_HEADER_BYTES,
} from '@evertree/journal/files';
import type { DamageList } from './damage.ts';
import { type ListedSegment, listSegment, SegmentReader } from './segment-reader.ts';

/**
 * Checks the divergences that a directory keeps: each record, and each frame of it.
 * @param files the names in `divergences/`
 * @returns how many there are
 */
export async function checkDivergences(
  disk: Disk,
  files: readonly string[],
  stream: string | undefined,
  list: DamageList,
): Promise<number> {
  let count = 0;
  const named = new Set<string>();
  for (const file of files) {
    const name = divergenceOf(file, 'record');
    if (name === undefined) continue;
    named.add(name);
    const kept = await read(disk, name, list);
    if (kept === undefined) continue;
    count++;
    await new DivergenceCheck(disk, kept, stream, list).run();
  }
  for (const file of files) {
    const name = divergenceOf(file, 'frames');
    if (name !== undefined && !named.has(name)) list.remark(`${DIVERGENCE_DIRECTORY}/${file}`, 'it has no record beside it: a leftover');
  }
  return count;
}

async function read(disk: Disk, name: string, list: DamageList): Promise<KeptDivergence | undefined> {
  const path = divergencePath(name, 'record');
  try {
    const kept = await readRecordFile(disk, name);
    if (kept === undefined) list.damage(path, 0, 'it does not tell about the divergence of its name');
    return kept;
  } catch (error) {
    if (!isMissing(error)) list.take(error, path, 0);
    return undefined;
  }
}

/** The frames of one divergence. */
class DivergenceCheck {
  readonly #disk: Disk;
  readonly #kept: KeptDivergence;
  readonly #stream: string | undefined;
  readonly #list: DamageList;
  readonly #path: string;

  constructor(disk: Disk, kept: KeptDivergence, stream: string | undefined, list: DamageList) {
    this.#disk = disk;
    this.#kept = kept;
    this.#stream = stream;
    this.#list = list;
    this.#path = divergencePath(kept.name, 'frames');
  }

  async run(): Promise<void> {
    try {
      const segment = await listSegment(this.#disk, this.#path);
      if (segment === undefined) this.#damage(0, 'its header is damaged');
      else await this.#segment(segment);
    } catch (error) {
      if (isMissing(error)) this.#damage(0, 'it is missing, and its record is there');
      else this.#list.take(error, this.#path, 0);
    }
  }

  async #segment(segment: ListedSegment): Promise<void> {
    const { header, bytes } = segment;
    const { base, last, missing, bytes: recorded } = this.#kept;
    const first = missing?.last ?? base;
    if (!samePosition(header.base, first)) {
      this.#damage(0, `it begins at ${formatExactPosition(header.base)}, and its record says ${formatExactPosition(first)}`);
    }
    if (this.#stream !== undefined && header.stream !== this.#stream) this.#damage(0, `it belongs to the stream ${header.stream}`);
    if (bytes !== recorded) this.#damage(0, `it has ${bytes} bytes, and its record says ${recorded}`);
    await using reader = await SegmentReader.open(this.#disk, segment);
    const end = await this.#records(reader);
    this.#list.read(bytes);
    if (end === undefined) return;
    if (!samePosition(end, last))
      this.#damage(reader.offset, `it ends at ${formatExactPosition(end)}, and its record says ${formatExactPosition(last)}`);
    if (reader.seal === undefined || !samePosition(reader.seal.seal.last, end)) this.#damage(reader.offset, 'its end is damaged');
  }

  /** @returns where the frames end; undefined if one is damaged */
  async #records(reader: SegmentReader): Promise<KeptDivergence['last'] | undefined> {
    let at = reader.segment.header.base;
    let chain: string | undefined;
    const end = reader.seal?.offset ?? reader.segment.bytes;
    while (reader.offset < end) {
      const { offset } = reader;
      const record = await reader.next();
      const header = record?.frame.header;
      if (record === undefined || header === undefined || record.groupStart > offset || record.groupStart < SEGMENT_HEADER_BYTES) {
        this.#damage(offset, 'the record there is damaged');
        return undefined;
      }
      if (!samePosition(header.base, at))
        this.#damage(offset, `a frame that follows ${formatExactPosition(header.base)} stands after ${formatExactPosition(at)}`);
      if (chain !== undefined && header.previous !== chain) this.#damage(offset, 'it does not name the frame before it');
      chain = frameHash(record.frame);
      at = header.last;
    }
    return at;
  }

  #damage(offset: number, problem: string): void {
    this.#list.damage(this.#path, offset, problem);
  }
}
