export type { ChangeIndex, FoundChange, TouchedValue, Touch } from './change-index.ts';
