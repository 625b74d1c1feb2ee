import { expect, test } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { openIndex } from '../../../../test/support/index-oracle.ts';
import { diskStore } from '../../../../test/support/stores.ts';
import { RunFile } from './run-file.ts';

test('a run whose file can not be closed is let go nevertheless: it was only read', async () => {
  const disk = new FaultDisk();
  await using store = (await diskStore(disk)).store;
  const { index } = openIndex(disk, store);
  for (let revision = 0; revision < 300; revision++) store.put('/a', revision);
  await store.flush();
  await index.caughtUp();
  const path = index.files[0]!;
  await index.close();
  let closings = 0;
  const failing: Pick<FaultDisk, 'open'> = {
    async open(...given) {
      const file = await disk.open(...given);
      file.close = () => Promise.reject(new Error(`EIO ${++closings}`));
      return file;
    },
  };
  const run = await RunFile.open(failing, path);
  await expect(run.retire()).resolves.toBeUndefined();
  const used = await RunFile.open(failing, path);
  const use = used.use();
  await used.retire();
  use[Symbol.dispose]();
  expect(closings).toBe(2);
});
