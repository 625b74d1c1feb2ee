import type { Reporter, Store } from '@evertree/core';
import type { HistoryQuestions } from '@evertree/history';
import type { WriteAdmission } from './admission.ts';
import type { Bodies } from './body.ts';
import type { Site } from '../site/site.ts';
import type { HttpLimits } from './limits.ts';
import type { Slots } from './slots.ts';
import type { Stability } from './stability.ts';
import type { Turns } from './turns.ts';

/** What all requests of one server share. */
export interface HttpContext {
  /** Ask it for its part at each request, and keep neither producer nor consumer: the part may be exchanged. */
  readonly site: Site;
  /** The site's, for all its life. */
  readonly store: Store;
  /** What the site answers of its past. */
  readonly history: HistoryQuestions;
  /** Questions about the past that are being answered: each may hold a part of a former tree. */
  readonly questions: Slots;
  /** Watches, and histories that are followed. */
  readonly streams: Slots;
  readonly stability: Stability;
  readonly admission: WriteAdmission;
  readonly bodies: Bodies;
  readonly turns: Turns;
  readonly limits: HttpLimits;
  readonly version: string;
  readonly report: Reporter;
  /** Fires when the server closes: watches end. */
  readonly closing: AbortSignal;
}
