import { raiseFencing, type EpochName, type Fencing } from '../lineage.ts';

/**
 * Epochs that fence this site and that its identity does not say: not yet, or because the disk failed. An entry goes
 * only when it is recorded, or when nobody ever begins its epoch.
 */
export class UnrecordedFences {
  readonly #fences: Fencing[] = [];

  /** The highest of them and of what is recorded. */
  highest(recorded: Fencing | undefined): Fencing | undefined {
    let highest = recorded;
    for (const fencing of this.#fences) highest = raiseFencing(highest, fencing) ?? highest;
    return highest;
  }

  add(fencing: Fencing): void {
    this.#fences.push(fencing);
  }

  drop(fencing: Fencing): void {
    const at = this.#fences.indexOf(fencing);
    if (at >= 0) this.#fences.splice(at, 1);
  }

  /** The promise of that epoch. */
  promiseOf({ number, id }: EpochName): Fencing | undefined {
    return this.#fences.find(fencing => fencing.number === number && fencing.id === id && !fencing.begun);
  }
}
