import { MemoryJournal } from '@evertree/journal';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';
import { testJournal } from './journal.ts';

const ringBytes = 16 * 1024 * 1024;

testJournal(
  'in memory',
  async () => ({
    open: async (identity = {}) =>
      new MemoryJournal({ clock: systemClock, random: systemRandom, report: strictReport, identity, maxBytes: ringBytes }),
    [Symbol.asyncDispose]: async () => undefined,
  }),
  {
    durable: false,
    snapshots: false,
    retention: false,
    tearing: false,
    settlesAtClose: true,
    ownsPlace: false,
    ringBytes,
  },
);
