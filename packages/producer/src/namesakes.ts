/** A site that moves to another address replaces its link once. */
const MOST_REPLACEMENTS = 2;
const WITHIN_MS = 60_000;

/**
 * Finds two sites that bear one name (a copied directory, say): else each new link of the one would replace the link of
 * the other, again and again, and no report would say why.
 */
export class Namesakes {
  /**
   * By site: how often a link from another address came while its own lived, each within the window after the one
   * before. `last`: when it did so last, on the monotonic clock. `told`: there are two, and that was said.
   */
  readonly #rivalries = new Map<string, { count: number; last: number; told: boolean }>();

  /**
   * To be called when a link from another address bears the name of a site whose link lives.
   * @returns whether it must be another site of that name
   */
  isAnother(site: string, nowMs: number): boolean {
    const known = this.#rivalries.get(site);
    const rivalry = known === undefined || nowMs - known.last >= WITHIN_MS ? { count: 0, last: nowMs, told: false } : known;
    this.#rivalries.set(site, rivalry);
    rivalry.count += 1;
    rivalry.last = nowMs;
    return rivalry.count > MOST_REPLACEMENTS;
  }

  /** @returns whether this is news */
  tell(site: string): boolean {
    const rivalry = this.#rivalries.get(site);
    if (rivalry === undefined || rivalry.told) return false;
    rivalry.told = true;
    return true;
  }

  forget(site: string): void {
    this.#rivalries.delete(site);
  }
}
