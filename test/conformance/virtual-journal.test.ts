import { systemClock } from '../support/host.ts';
import { VirtualJournal } from '../support/virtual-journal.ts';
import { VirtualStorage } from '../support/virtual-log.ts';
import { testJournal } from './journal.ts';

testJournal(
  'on a virtual clock',
  async () => {
    const storage = new VirtualStorage();
    let journal: VirtualJournal | undefined;
    let site = 'site-0123abcd';
    return {
      open: async (identity = {}) => {
        site = identity.site ?? site;
        if (identity.role !== undefined) storage.role = identity.role;
        journal = new VirtualJournal(site, storage, systemClock);
        return journal;
      },
      crash: async () => journal?.crash(),
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
  {
    durable: true,
    snapshots: true,
    retention: false,
    tearing: false,
    settlesAtClose: false,
    ownsPlace: false,
  },
);
