import type { Reporter, Store } from '@evertree/core';
import type { Consumer } from '@evertree/consumer';
import type { Producer } from '@evertree/producer';
import type { Bodies } from './body.ts';
import type { AcknowledgementWish } from './headers.ts';
import type { HttpLimits } from './limits.ts';
import type { Stability } from './stability.ts';

/** What HTTP asks of a producer. */
export type ProducerView = Pick<Producer, 'peers' | 'forget' | 'on'>;

/** What HTTP asks of a consumer. */
export type ConsumerView = Pick<Consumer, 'state' | 'on'>;

/** What all requests of one server share. */
export interface HttpContext {
  readonly store: Store;
  readonly stability: Stability;
  readonly bodies: Bodies;
  readonly limits: HttpLimits;
  readonly site: string;
  readonly version: string;
  readonly producer: ProducerView | undefined;
  readonly consumer: ConsumerView | undefined;
  /** What a write waits for that does not say so itself. */
  readonly acknowledgement: AcknowledgementWish | undefined;
  readonly report: Reporter;
  /** Fires when the server closes: watches end. */
  readonly closing: AbortSignal;
}
