import type { EpochName, ExactPosition, Fencing } from '@evertree/core';
import type { Extent, LastPrimary, PossibleLoss, ReachedSite } from './losses.ts';
import type { PromotionFacts, PromotionGround } from './promotion-facts.ts';

/*
 * What happens to a promotion, and what it wants done.
 */

export interface PromotionRequest {
  readonly dryRun: boolean;
  readonly force: boolean;
  /** The plan hash of a dry run. */
  readonly confirm: string | undefined;
  /** Of the epoch to begin, drawn for this promotion. */
  readonly id: string;
}

export type PromotionEvent =
  | { readonly type: 'begin'; readonly ground: PromotionGround }
  | { readonly type: 'met'; readonly remote: string; readonly site: ReachedSite }
  | { readonly type: 'unreachable'; readonly remote: string }
  /** Its link ended. */
  | { readonly type: 'gone'; readonly site: string }
  | { readonly type: 'promised'; readonly site: string; readonly epoch: EpochName; readonly extent: Extent }
  | {
      readonly type: 'not-promised';
      readonly site: string;
      readonly epoch: EpochName;
      readonly text: string;
      readonly highest: EpochName | undefined;
    }
  /** This site has promised itself, durably; where it stands from then on. */
  | { readonly type: 'raised'; readonly epoch: EpochName; readonly own: Extent }
  /** The site can't lend what it promised with. */
  | { readonly type: 'not-lent'; readonly site: string; readonly text: string }
  /** A frame came from the site that lends. */
  | { readonly type: 'lent' }
  | { readonly type: 'adopted'; readonly own: Extent }
  /** A hello has told meanwhile of an epoch that takes our number. Nothing was begun. */
  | { readonly type: 'surpassed'; readonly by: number; readonly primary: LastPrimary | undefined }
  | { readonly type: 'stable'; readonly position: ExactPosition }
  /** What was asked of this site's store failed. */
  | { readonly type: 'failed'; readonly why: string }
  | { readonly type: 'due' };

export type PromotionAction =
  /** Dial every remote, and hear each one's hello. Answer: `met`, `unreachable`, for each. */
  | { readonly type: 'dial' }
  /** Promise here, durably, then ask these sites. Answer: `raised`, and for each `promised`, `not-promised`, `gone`. */
  | { readonly type: 'raise'; readonly epoch: EpochName; readonly sites: readonly string[] }
  /** Take over the history of this site, as far as it promised. Answer: `adopted`, `failed`. */
  | { readonly type: 'adopt'; readonly from: string; readonly extent: Extent }
  /** Answer: `stable`, `surpassed`, `failed`. */
  | { readonly type: 'begin-epoch'; readonly epoch: EpochName }
  | { readonly type: 'after'; readonly ms: number }
  | { readonly type: 'foretell'; readonly facts: PromotionFacts; readonly possible: boolean; readonly confirm: string }
  | {
      readonly type: 'done';
      readonly epoch: EpochName;
      readonly position: ExactPosition;
      readonly lost: PossibleLoss;
      readonly unheard: readonly string[];
    }
  /** `heard`: the epoch that this site has to know durably before anybody is told, so that the next promotion exceeds it. */
  | {
      readonly type: 'refuse';
      readonly why: string;
      readonly facts: PromotionFacts | undefined;
      readonly heard: Fencing | undefined;
    };
