export { type ChangeIndex, type FoundChange, IndexOutdated, type TouchedValue, type Touch } from './change-index.ts';
export { IndexBuilder, type BuildingEvents, type IndexBuilding } from './index/index-builder.ts';
export { IndexThread } from './index/index-thread.ts';
export { JournalIndex, type JournalIndexOptions } from './index/journal-index.ts';
export * from './answers.ts';
export { parseTime, parseWhen, type Moment, type When, type WhenLike } from './when.ts';
export { HistoryQueries } from './queries.ts';
export * from './offline/verification.ts';
export type { Damage, ReadProgress, Remark } from './offline/damage.ts';
