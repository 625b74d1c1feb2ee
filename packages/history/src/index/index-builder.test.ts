import { expect, it } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { IndexBuilder } from './index-builder.ts';

const nothing = () => undefined;

it('tells once that its directory can’t be opened, also where runs were to be dropped', async () => {
  const disk = new FaultDisk();
  // Of a builder that tried again by itself, all three would be told.
  disk.fail({ operation: 'makeDirectory', path: /^index$/, code: 'EROFS', times: 3 });
  const failures: string[] = [];
  const idle = Promise.withResolvers<void>();
  const builder = new IndexBuilder(
    { disk, breathe: async () => undefined },
    { changed: nothing, dropped: nothing, stuck: nothing, failed: ({ message }) => failures.push(message), idle: () => idle.resolve() },
  );
  builder.drop(['index/1-2.run']);
  await idle.promise;
  expect(failures).toEqual([expect.stringContaining('EROFS')]);
  await builder.close();
});
