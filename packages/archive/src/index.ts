export type { ListedObject, ObjectStat, Target, TargetObject } from './targets/target.ts';
export type * from './format/archive-head.ts';
export type * from './format/manifest.ts';
export type * from './writing/archive-source.ts';
export type * from './writing/archive-thread.ts';
export * from './writing/archiver-options.ts';
export { Identities } from './encryption/identities.ts';
export { Recipients } from './encryption/recipients.ts';
export type { Opening, Sealing } from './encryption/sealing.ts';
