export type { ProducerLimits } from './limits.ts';
export { Producer } from './producer.ts';
export type { ProducerEvents, ProducerOptions } from './producer.ts';
export type { PeerStanding, PeerState, PeerStatus } from './status.ts';
