import type { Clock, Disk, DiskFile } from '@evertree/core';
import type { SyncMode } from '../segments/active-segment.ts';
import { isNoSpace } from '../groups/failure.ts';
import { removeFiles } from './removal.ts';
import { SEGMENT_DIRECTORY, TEMPORARY_SUFFIX } from '../site/layout.ts';

/**
 * Measured writes of each mode, warm-up writes before them that are not counted, and the bytes of one: a small group.
 */
const PROBE_WRITES = 9;
const WARM_UP_WRITES = 2;
const PROBE_WRITE_BYTES = 6 * 1024;
/** The probe starts no further write after this. */
const PROBE_LIMIT_MS = 200;

/**
 * A hand-over to the thread that writes takes as long as a quick disk, and differs each time. By the medians alone one
 * opening in eight chose fdatasync on a disk on which it takes a tenth longer. It costs a second hand-over for each
 * group, so it has to be clearly quicker: its shortest write below this part of the shortest one with O_DSYNC. Among 120
 * probes of that disk, some beside other work, none was below 0.84.
 */
const CLEARLY_QUICKER = 0.8;

const MODES: readonly SyncMode[] = ['dsync', 'fdatasync'];

/**
 * Measures in which mode small writes into a preallocated file become stable sooner on this disk. The modes take turns,
 * so that a busy moment hits both. O_DSYNC unless fdatasync is clearly quicker. On a full disk the answer is O_DSYNC.
 */
export async function probeSyncMode(disk: Disk, clock: Clock): Promise<SyncMode> {
  const paths = MODES.map(mode => `${SEGMENT_DIRECTORY}/probe-${mode}${TEMPORARY_SUFFIX}`);
  try {
    const [dsync, fdatasync] = await measure(disk, clock, paths);
    return fdatasync! < dsync! * CLEARLY_QUICKER ? 'fdatasync' : 'dsync';
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    return 'dsync';
  } finally {
    // On a full disk a probe file may not exist.
    await removeFiles(disk, paths);
  }
}

/** The shortest write of each mode, in milliseconds: other work only makes a write longer. */
async function measure(disk: Disk, clock: Clock, paths: readonly string[]): Promise<number[]> {
  const files: DiskFile[] = [];
  try {
    for (const [index, mode] of MODES.entries()) {
      const file = await disk.open(paths[index]!, { create: true, write: true, durableWrites: mode === 'dsync' });
      files.push(file);
      await prepare(file);
    }
    const shortest = MODES.map(() => Infinity);
    const deadline = clock.monotonic() + PROBE_LIMIT_MS;
    for (let write = 0; write < WARM_UP_WRITES + PROBE_WRITES; write++) {
      // At least one write of each mode is measured.
      if (write > WARM_UP_WRITES && clock.monotonic() >= deadline) break;
      for (const [index, mode] of MODES.entries()) {
        const took = await timeWrite(files[index]!, mode, write, clock);
        if (write >= WARM_UP_WRITES) shortest[index] = Math.min(shortest[index]!, took);
      }
    }
    return shortest;
  } finally {
    for (const file of files) await file.close();
  }
}

async function prepare(file: DiskFile): Promise<void> {
  await file.write([Buffer.alloc((WARM_UP_WRITES + PROBE_WRITES) * PROBE_WRITE_BYTES)], 0);
  await file.sync();
}

async function timeWrite(file: DiskFile, mode: SyncMode, write: number, clock: Clock): Promise<number> {
  const start = clock.monotonic();
  await file.write([Buffer.alloc(PROBE_WRITE_BYTES, 1)], write * PROBE_WRITE_BYTES);
  if (mode === 'fdatasync') await file.sync();
  return clock.monotonic() - start;
}
