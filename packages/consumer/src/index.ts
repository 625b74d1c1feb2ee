export { Consumer } from './consumer.ts';
export type { ConsumerEvents, ConsumerOptions } from './options.ts';
export { HeardHistory } from './heard-history.ts';
export type { UnappliedCommits } from './heard-history.ts';
export type { ConsumerLimits } from './limits.ts';
export type { ConsumerState, ConsumerStatus } from './status.ts';
