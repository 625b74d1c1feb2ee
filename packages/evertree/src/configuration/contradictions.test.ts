import { describe, expect, test } from 'vitest';
import { lackOfSecondaries } from './joining.ts';
import { readConfiguration, readPrimaryConfiguration } from './reading.ts';

const MEBIBYTE = 1024 * 1024;
const NETTY = { 'netty-connection': { 'consumer-address': 'b', 'consumer-port': 1 } };
const LIMIT = { 'retention-max-bytes': 2 * MEBIBYTE };

function warnings(sections: object): readonly string[] {
  return readConfiguration({ ...NETTY, ...sections }).warnings;
}

describe('settings that are right each by itself are warned of together', () => {
  test.each<[string, object, object]>([
    [
      'archive.spool-max-bytes is 3145728, and journal.retention-max-bytes is 2097152: no more history',
      { archive: { target: 's3://bucket', 'spool-max-bytes': 3 * MEBIBYTE }, journal: LIMIT },
      { archive: { target: 's3://bucket', 'spool-max-bytes': 2 * MEBIBYTE }, journal: LIMIT },
    ],
    [
      'journal.retention-min-bytes is 3145728, and journal.retention-max-bytes is 2097152: ',
      { journal: { ...LIMIT, 'retention-min-bytes': 3 * MEBIBYTE } },
      { journal: { ...LIMIT, 'retention-min-bytes': 2 * MEBIBYTE } },
    ],
    [
      'journal.snapshot-bytes is 3145728, and journal.retention-max-bytes is 2097152: ',
      { journal: { ...LIMIT, 'snapshot-bytes': 3 * MEBIBYTE } },
      { journal: { ...LIMIT, 'snapshot-bytes': MEBIBYTE } },
    ],
    [
      'journal.segment-bytes is 3145728, and journal.retention-max-bytes is 2097152: ',
      { journal: { ...LIMIT, 'segment-bytes': 3 * MEBIBYTE } },
      { journal: { ...LIMIT, 'segment-bytes': MEBIBYTE } },
    ],
    [
      'journal.retention-min-ms is 2, and journal.retention-max-ms is 1: ',
      { journal: { 'retention-min-ms': 2, 'retention-max-ms': 1 } },
      { journal: { 'retention-min-ms': 2, 'retention-max-ms': 0 } },
    ],
    [
      'journal.retention-rewind-ms is 2, and journal.retention-max-ms is 1: ',
      { journal: { 'retention-rewind-ms': 2, 'retention-max-ms': 1 } },
      { journal: { 'retention-rewind-ms': 2, 'retention-max-ms': 2 } },
    ],
    [
      'limits.frame-bytes is 1048576, and limits.pending-bytes is 65536: ',
      { limits: { 'frame-bytes': MEBIBYTE, 'pending-bytes': 65_536 } },
      { limits: { 'frame-bytes': 65_536, 'pending-bytes': 65_536 } },
    ],
    [
      'archive.every is "1h", and archive.image-every is "30m": ',
      { archive: { target: 's3://bucket', every: '1h', 'image-every': '30m' } },
      { archive: { target: 's3://bucket', every: '1h', 'image-every': '60m' } },
    ],
    [
      'journal.retention-max-ms is 0, so that only what somebody needs is kept, and journal.retention-max-commits is 5, which has no effect',
      { journal: { 'retention-max-ms': 0, 'retention-max-commits': 5 } },
      { journal: { 'retention-max-ms': 0, 'retention-max-commits': 0 } },
    ],
  ])('%s', (warning, wrong, right) => {
    expect(warnings(wrong)).toEqual([expect.stringContaining(warning)]);
    expect(warnings(right)).toEqual([]);
  });

  test('a primary whose writes wait for more secondaries than its files name', () => {
    const file = { ...NETTY, acknowledgement: { secondaries: 2 } };
    const other = { 'netty-connection': { 'consumer-address': 'c', 'consumer-port': 1 } };
    const topic = { 'kafka-producer-properties': { 'bootstrap.servers': 'k:1' } };
    expect(readPrimaryConfiguration(file).warnings).toEqual([
      expect.stringContaining('acknowledgement.secondaries is 2, and 1 secondary is named in "netty-connection"'),
    ]);
    expect(readPrimaryConfiguration([file, other]).warnings).toEqual([]);
    expect(readPrimaryConfiguration([file, topic]).warnings).toEqual([]);
    expect(lackOfSecondaries(readPrimaryConfiguration(NETTY).wires, undefined)).toBeUndefined();
  });
});
