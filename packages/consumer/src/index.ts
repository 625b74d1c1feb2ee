export { Consumer } from './consumer.ts';
export type { ConsumerEvents, ConsumerOptions } from './options.ts';
export type { EarlierFrames, MissingStretch } from './earlier-frames.ts';
export type { HeardHistory } from './heard-history.ts';
export type { UnappliedCommits } from './heard-history.ts';
export type { ConsumerLimits } from './limits.ts';
export type { CatchUp, CatchUps, ConsumerState, ConsumerStatus } from './status.ts';
