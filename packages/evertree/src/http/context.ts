import type { Reporter, Store } from '@evertree/core';
import type { Bodies } from './body.ts';
import type { Site } from '../site/site.ts';
import type { HttpLimits } from './limits.ts';
import type { Stability } from './stability.ts';

/** What all requests of one server share. */
export interface HttpContext {
  /** The part that it plays may change between two requests: ask it each time, and keep neither producer nor consumer. */
  readonly site: Site;
  /** The site's, for all its life. */
  readonly store: Store;
  readonly stability: Stability;
  readonly bodies: Bodies;
  readonly limits: HttpLimits;
  readonly version: string;
  readonly report: Reporter;
  /** Fires when the server closes: watches end. */
  readonly closing: AbortSignal;
}
