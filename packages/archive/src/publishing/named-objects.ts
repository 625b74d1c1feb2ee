import type { ArchivedObject, Manifest } from '../format/manifest.ts';

/** An object as a manifest names it. */
export interface NamedObject {
  readonly path: string;
  readonly bytes: number;
}

/** The objects that an entry of a line consists of. */
export function objectsOf(entry: ArchivedObject): readonly NamedObject[] {
  return entry.kind === 'image' ? entry.parts : [entry];
}

/** What a manifest names as needed. What it condemns is not among it. */
export class NamedObjects {
  /** Bytes by path, of images and stretches. */
  readonly entries: ReadonlyMap<string, number>;
  /** The first number that counts, by the path of a tail. */
  readonly #tails = new Map<string, number>();

  constructor({ lines }: Pick<Manifest, 'lines'>) {
    this.entries = new Map(lines.flatMap(({ objects }) => objects.flatMap(objectsOf)).map(({ path, bytes }) => [path, bytes]));
    for (const { path, from } of lines.flatMap(({ tails }) => tails)) this.#tails.set(path, from);
  }

  /** Whether it names an object: as part of an entry, or as one of a tail, whether that is there or not. */
  has(path: string): boolean {
    return this.entries.has(path) || this.#isOfTail(path);
  }

  /** The first number of a tail that counts; undefined for a tail that does not. */
  tailFrom(path: string): number | undefined {
    return this.#tails.get(path);
  }

  #isOfTail(path: string): boolean {
    const slash = path.lastIndexOf('/');
    const from = this.#tails.get(path.slice(0, slash));
    return from !== undefined && Number(path.slice(slash + 1)) >= from;
  }
}
