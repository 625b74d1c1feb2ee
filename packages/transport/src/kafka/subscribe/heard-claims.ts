import { TopicClaims } from '../claims/topic-claims.ts';
import type { AnnouncedClaim } from '../control.ts';
import type { HeardPrimary } from './control-view.ts';

/** The claims that a link's reader heard of: those that stand in the topic, and those that may stand there. */
export class HeardClaims {
  /** Which reigns stand in the topic, as far as is known. */
  readonly standing = new TopicClaims();
  /** Claims that may stand in the topic already, at an offset that is not known. By the site that claims. */
  readonly #unplaced = new Map<string, AnnouncedClaim>();

  /** A primary says where its claim stands. */
  led({ record: { claim } }: HeardPrimary): void {
    if (claim !== undefined) this.standing.takeClaim(BigInt(claim.offset), claim);
  }

  /** A site claims an epoch, or has. */
  claimed(claim: AnnouncedClaim): void {
    const { site, epoch, offset } = claim;
    if (offset === null) this.#unplaced.set(site, claim);
    else {
      this.#unplaced.delete(site);
      this.standing.takeClaim(BigInt(offset), epoch);
    }
  }

  /**
   * From where on a claim may stand before an offset; undefined where none may.
   * @param low the topic's first offset: a claim that stood before it is gone, and ends no reign any more
   */
  searchedFrom(offset: bigint, low: bigint): bigint | undefined {
    const afters = Array.from(this.#unplaced.values(), claim => BigInt(claim.after)).filter(after => after < offset);
    if (afters.length === 0 || offset <= low) return undefined;
    const first = afters.reduce((least, after) => (after < least ? after : least));
    return first > low ? first : low;
  }
}
