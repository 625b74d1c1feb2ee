export type { ChangeIndex, FoundChange, TouchedValue, Touch } from './change-index.ts';
export * from './answers.ts';
export { parseTime, parseWhen, type Moment, type When, type WhenLike } from './when.ts';
export { HistoryQueries } from './queries.ts';
export * from './offline/verification.ts';
export type { Damage, ReadProgress, Remark } from './offline/damage.ts';
