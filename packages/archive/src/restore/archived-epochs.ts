import { isEvertreeError } from '@evertree/core';
import { IMAGE_PREFIX, STRETCH_PREFIX, TAIL_PREFIX } from '../format/object-keys.ts';
import { readObjectHead } from '../format/sealed-object.ts';
import type { Archive } from '../reading/archive.ts';
import { highestArchivedEpoch } from './restore-epoch.ts';

/** Keys tell in which epoch an object ends, and a tail's in which it begins: ARCHIVE.md, «Objects». */
const KEY_EPOCH = /\/(\d{10})-/;

/**
 * The highest number of an epoch that an archive tells of. Where it is damaged, or a tail goes on behind the place at which
 * another one follows it, that includes the objects that nothing leads to: sites wrote them, too.
 */
export async function highestEpochIn(archive: Archive): Promise<number> {
  const { manifest, lines, problems } = archive;
  const ends = lines.flatMap(({ stretches, images }) => [...stretches.map(({ last }) => last), ...images.map(({ position }) => position)]);
  const named = highestArchivedEpoch({ lines: manifest?.lines ?? [] }, ends);
  const isAllNamed = problems.length === 0 && lines.every(({ line }) => line.tails.length < 2);
  return isAllNamed ? named : Math.max(named, await highestStoredEpoch(archive));
}

async function highestStoredEpoch(archive: Archive): Promise<number> {
  let highest = 0;
  const tails = new Map<string, string[]>();
  for (const prefix of [STRETCH_PREFIX, IMAGE_PREFIX, TAIL_PREFIX]) {
    for await (const { key } of archive.target.list(prefix)) {
      highest = Math.max(highest, Number(KEY_EPOCH.exec(key)?.[1] ?? 0));
      if (prefix !== TAIL_PREFIX) continue;
      const path = key.slice(0, key.lastIndexOf('/'));
      const keys = tails.get(path);
      if (keys === undefined) tails.set(path, [key]);
      else keys.push(key);
    }
  }
  for (const keys of tails.values()) highest = Math.max(highest, await lastEpochOf(archive, keys));
  return highest;
}

/** The epoch at the end of a tail, as its last sound object says; 0 if none is sound. */
async function lastEpochOf({ target, id }: Archive, keys: readonly string[]): Promise<number> {
  for (const key of keys.toReversed()) {
    const stored = await target.get(key);
    if (stored === undefined) continue;
    try {
      const { kind, header } = readObjectHead(stored.bytes, key);
      if (kind === 'frames' && header.archive === id) return header.last.epoch;
    } catch (error) {
      if (!isEvertreeError(error, 'DAMAGED') && !isEvertreeError(error, 'FORMAT_UNSUPPORTED')) throw error;
    }
  }
  return 0;
}
