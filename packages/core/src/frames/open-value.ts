import { define, type Value } from '../tree/value.ts';

/** An array or an object that is being made. It stands in its parent already. */
interface PartlyMade {
  readonly made: Value[] | { [key: string]: Value };
  /** Items or members that are still to come. */
  left: number;
}

/** A value that is made from the outside to the inside, as a binary body has it, without recursion. */
export class OpenValue {
  /** The containers that are not whole, from the outside. */
  readonly #open: PartlyMade[] = [];
  /** The key of the member that comes next, where an object is open. */
  key = '';
  whole: Value | undefined;

  /** Whether nothing is to come any more. */
  get isWhole(): boolean {
    return this.#open.length === 0;
  }

  /** Whether a member comes next: `key` is to be set before it. */
  get wantsKey(): boolean {
    return !Array.isArray(this.#open.at(-1)!.made);
  }

  /** @param length how many items or members come */
  open(made: PartlyMade['made'], length: number): void {
    this.#put(made);
    this.#open.push({ made, left: length });
    this.#closeWhole();
  }

  add(value: Value): void {
    this.#put(value);
    this.#closeWhole();
  }

  #put(value: Value): void {
    const parent = this.#open.at(-1);
    if (parent === undefined) {
      this.whole = value;
      return;
    }
    parent.left--;
    if (Array.isArray(parent.made)) parent.made.push(value);
    else define(parent.made, this.key, value);
  }

  #closeWhole(): void {
    for (let last = this.#open.at(-1); last?.left === 0; last = this.#open.at(-1)) {
      if (Array.isArray(last.made)) Object.freeze(last.made);
      this.#open.pop();
    }
  }
}
