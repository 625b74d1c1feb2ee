import { cp, mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeDisk, openJournal } from '@evertree/journal';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';
import type { JournalSupports } from './journal-suite.ts';
import { lastByte, newestSegment } from './journal-suite.ts';
import { testJournal } from './journal.ts';

const host = { clock: systemClock, random: systemRandom, report: strictReport };
const supports: JournalSupports = {
  durable: true,
  snapshots: true,
  retention: true,
  tearing: true,
  settlesAtClose: true,
  ownsPlace: true,
};

testJournal(
  'on a real file system',
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'evertree-journal-'));
    // A test can't kill its own process. So the next one works on a copy, and the first keeps the old directory.
    let directory = join(root, '0');
    let crashes = 0;
    return {
      open: (identity = {}, options) => openJournal({ ...host, disk: nodeDisk(directory), identity, options }),
      crash: async () => {
        const next = join(root, String(++crashes));
        await cp(directory, next, { recursive: true, filter: path => !path.endsWith('lock') });
        directory = next;
      },
      tear: async bytes => {
        const newest = (await readdir(join(directory, 'journal')))
          .filter(name => name.endsWith('.evj'))
          .toSorted()
          .at(-1)!;
        const path = join(directory, 'journal', newest);
        const file = await open(path, 'r+');
        const content = Buffer.alloc((await stat(path)).size);
        await file.read(content, 0, content.length, 0);
        await file.truncate(lastByte(content) - bytes);
        await file.close();
      },
      [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
    };
  },
  supports,
);

for (const sync of ['dsync', 'fdatasync'] as const) {
  testJournal(
    `on a faulty disk in memory (${sync})`,
    async () => {
      let disk = new FaultDisk();
      return {
        open: (identity = {}, options) => openJournal({ ...host, disk, identity, options: { sync, ...options } }),
        crash: async () => {
          disk = disk.crash();
        },
        tear: async bytes => {
          // Its blocks never reached the disk: they read as zeros, as all preallocated bytes.
          disk.overwrite(newestSegment(disk), content => content.fill(0, lastByte(content) - bytes));
        },
        [Symbol.asyncDispose]: async () => undefined,
      };
    },
    supports,
  );
}
