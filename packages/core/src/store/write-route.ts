import type { EpochName } from '../lineage.ts';
import type { ExactPosition } from '../position.ts';

/** Where writes go, once that is decided. `address`: where clients reach that site over HTTP, if it is known. */
export type WriteDestination =
  | { readonly kind: 'here' }
  | {
      readonly kind: 'elsewhere';
      readonly site: string;
      readonly address: string | undefined;
      readonly epoch: EpochName;
      readonly position: ExactPosition;
    };

/** Where writes go, as far as this site was told, and who waits until that is decided. */
export class WriteRoute {
  /** The site that takes writes instead of this one, as far as it was told. */
  #leader: WriteDestination | undefined;
  /** Those who wait until it is decided where writes go; settled once. */
  #undecided: PromiseWithResolvers<WriteDestination> | undefined;

  get leader(): WriteDestination | undefined {
    return this.#leader;
  }

  /** Another site leads, or somebody waits for a decision: that writes are taken here has to be told. */
  get leadsAway(): boolean {
    return (this.#undecided ?? this.#leader) !== undefined;
  }

  /** Resolves when it is decided. */
  decided(): Promise<WriteDestination> {
    this.#undecided ??= Promise.withResolvers();
    return this.#undecided.promise;
  }

  /** @param writable whether this site takes writes: until it does, nobody is sent here */
  settle(destination: WriteDestination, writable: boolean): void {
    this.#leader = destination.kind === 'here' ? undefined : destination;
    if (destination.kind === 'here' && !writable) return;
    this.#undecided?.resolve(destination);
    this.#undecided = undefined;
  }

  /** Those who wait get this error. */
  fail(error: Error): void {
    this.#undecided?.reject(error);
    this.#undecided = undefined;
  }
}
