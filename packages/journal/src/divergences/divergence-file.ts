import type { Disk, DiskFile, StoredFrame } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { isMissing, readFailed } from '../groups/failure.ts';
import { FileWindow, readRecord } from '../segments/record-reader.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../segments/segment-format.ts';
import { readSeal } from '../segments/segment.ts';

/** The frames of a sealed segment that belongs to a divergence, in order. @throws EvertreeError DAMAGED */
export async function* readDivergence(disk: Disk, path: string): AsyncGenerator<StoredFrame, void, undefined> {
  const file = await openFrames(disk, path);
  try {
    const size = await file.size();
    const window = new FileWindow(file);
    const header = decodeSegmentHeader(await window.load(0, SEGMENT_HEADER_BYTES, size), path);
    if (header === undefined) throw unreadable(path, 0, 'its header is damaged');
    const end = (await readSeal(window, size, header.salt))?.offset;
    if (end === undefined) throw unreadable(path, size, 'its end is damaged');
    for (let offset = SEGMENT_HEADER_BYTES; offset < end;) {
      const record = await readRecord(window, offset, end, header.salt);
      if (record === undefined) throw unreadable(path, offset, 'the record there is damaged');
      yield { frame: record.frame, trailer: record.trailer };
      offset = record.next;
    }
  } catch (error) {
    throw readFailed(error);
  } finally {
    await file.close();
  }
}

async function openFrames(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, {});
  } catch (error) {
    if (isMissing(error)) throw unreadable(path, 0, 'the file is missing');
    throw error;
  }
}

function unreadable(file: string, offset: number, problem: string): EvertreeError {
  const message = `${file} is damaged at offset ${offset}: ${problem}; the commits of this divergence from there on can't be read`;
  return new EvertreeError('DAMAGED', message, { file, offset });
}
