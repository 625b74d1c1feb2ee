export { Consumer } from './consumer.ts';
export type { ConsumerEvents, ConsumerOptions } from './consumer.ts';
export { DEFAULT_LIMITS as DEFAULT_CONSUMER_LIMITS } from './limits.ts';
export type { ConsumerLimits } from './limits.ts';
export type { ConsumerState, ConsumerStatus } from './status.ts';
