export { decide } from './decision.ts';
export type { Decision, History, Refusal } from './decision.ts';
export { DEFAULT_LIMITS as DEFAULT_PRODUCER_LIMITS } from './limits.ts';
export type { ProducerLimits } from './limits.ts';
export { Producer } from './producer.ts';
export type { ProducerEvents, ProducerOptions } from './producer.ts';
export type { PeerState, PeerStatus } from './status.ts';
