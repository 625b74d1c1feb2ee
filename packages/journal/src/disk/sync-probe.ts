import type { Clock, Disk } from '@evertree/core';
import type { SyncMode } from '../segments/active-segment.ts';
import { isNoSpace } from '../groups/failure.ts';
import { SEGMENT_DIRECTORY, TEMPORARY_SUFFIX } from '../site/layout.ts';

/** Writes of each kind, and their size: that of a small group. */
const PROBE_WRITES = 9;
const PROBE_WRITE_BYTES = 6 * 1024;
/** Spent at most, but for the write under way. */
const PROBE_LIMIT_MS = 200;

/** Finds out which way small writes into a preallocated file become stable sooner on this disk. */
export async function probeSyncMode(disk: Disk, clock: Clock): Promise<SyncMode> {
  const path = `${SEGMENT_DIRECTORY}/probe${TEMPORARY_SUFFIX}`;
  const deadline = clock.monotonic() + PROBE_LIMIT_MS;
  try {
    const dsync = await measure(disk, clock, path, 'dsync', deadline);
    const fdatasync = await measure(disk, clock, path, 'fdatasync', deadline);
    return fdatasync < dsync ? 'fdatasync' : 'dsync';
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    return 'dsync';
  } finally {
    await disk.remove(path);
  }
}

/** The median, in milliseconds. */
async function measure(disk: Disk, clock: Clock, path: string, mode: SyncMode, deadline: number): Promise<number> {
  const file = await disk.open(path, { create: true, write: true, durableWrites: mode === 'dsync' });
  try {
    await file.write([Buffer.alloc(PROBE_WRITES * PROBE_WRITE_BYTES)], 0);
    await file.sync();
    const data = Buffer.alloc(PROBE_WRITE_BYTES, 1);
    const times: number[] = [];
    for (let index = 0; index < PROBE_WRITES && (index === 0 || clock.monotonic() < deadline); index++) {
      const start = clock.monotonic();
      await file.write([data], index * PROBE_WRITE_BYTES);
      if (mode === 'fdatasync') await file.sync();
      times.push(clock.monotonic() - start);
    }
    return times.toSorted((a, b) => a - b)[times.length >> 1] ?? Infinity;
  } finally {
    await file.close();
  }
}
