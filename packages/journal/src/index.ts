export { DiskJournal } from './disk-journal.ts';
export { MemoryJournal } from './memory-journal.ts';
export type { MemoryJournalArguments } from './memory-journal.ts';
export { nodeDisk } from './disk/node-disk.ts';
export { openJournal } from './open-journal.ts';
export type { OpenJournalArguments } from './open-journal.ts';
export type { JournalOptions } from './options.ts';
