export type { ListedObject, ObjectStat, Target, TargetObject } from './targets/target.ts';
export type * from './format/archive-head.ts';
export type * from './format/manifest.ts';
