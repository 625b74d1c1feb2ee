import type { Value } from '../tree/value.ts';

/** Goes through the members and items of a value, each before what is in it. One who goes along can pause anywhere. */
export class ValueWalk {
  /** The key of the member; undefined of an item. */
  key: string | undefined;
  value: Value;
  // The containers that the walk is in, the outermost first; of an object its keys, too; how far it came in each.
  readonly #items: (readonly Value[])[] = [];
  readonly #keys: (readonly string[] | undefined)[] = [];
  readonly #at: number[] = [];

  constructor(value: Value) {
    this.value = value;
  }

  /** Goes to the next member or item. @returns false at the end */
  next(): boolean {
    if (isContainer(this.value)) this.#enter(this.value);
    let level = this.#at.length - 1;
    while (level >= 0 && this.#at[level] === this.#items[level]!.length) {
      this.#items.pop();
      this.#keys.pop();
      this.#at.pop();
      level--;
    }
    if (level < 0) return false;
    const at = this.#at[level]!++;
    this.key = this.#keys[level]?.[at];
    this.value = this.#items[level]![at]!;
    return true;
  }

  #enter(container: readonly Value[] | { readonly [key: string]: Value }): void {
    const isArray = Array.isArray(container);
    this.#items.push(isArray ? (container as readonly Value[]) : Object.values(container as { readonly [key: string]: Value }));
    this.#keys.push(isArray ? undefined : Object.keys(container));
    this.#at.push(0);
  }
}

export function isContainer(value: Value): value is readonly Value[] | { readonly [key: string]: Value } {
  return typeof value === 'object' && value !== null;
}
