import type { ArchiveLine, Manifest } from '../format/manifest.ts';
import { IMAGE_PREFIX, STRETCH_PREFIX, TAIL_PREFIX } from '../format/object-keys.ts';
import type { Target } from '../targets/target.ts';
import type { FindingList } from './archive-finding.ts';

/** An object of a tail that is there. */
export interface StoredTailObject {
  readonly path: string;
  readonly number: number;
  readonly bytes: number;
}

/** What lies in a target, against what a manifest needs. */
export interface StoredObjects {
  /** By the path of the tail's note, in order: each has the number after the one before. */
  readonly tails: ReadonlyMap<string, readonly StoredTailObject[]>;
}

/**
 * Lists a target once, and finds each object that the manifest needs and that is not there with its size. A list costs a
 * thousandth of asking for each object.
 */
export async function checkStored(target: Target, manifest: Manifest, list: FindingList): Promise<StoredObjects> {
  const missing = neededSizes(manifest);
  const tails = tailNumbers(manifest);
  for (const prefix of [STRETCH_PREFIX, IMAGE_PREFIX, TAIL_PREFIX]) {
    for await (const { key, size } of target.list(prefix)) {
      const needed = missing.get(key);
      const tail = tails.get(key.slice(0, key.lastIndexOf('/')));
      if (needed !== undefined) {
        missing.delete(key);
        if (size !== needed.bytes) wrongSize(list, key, needed, size);
      } else tail?.take(key, size);
    }
  }
  for (const [key, needed] of missing) {
    // A list may leave out what somebody replaced meanwhile: only the object's own answer counts.
    const stat = await target.stat(key);
    if (stat === undefined) list.add({ level: 0, object: key, ...needed.of, problem: 'it is missing' });
    else if (stat.size !== needed.bytes) wrongSize(list, key, needed, stat.size);
  }
  return { tails: new Map([...tails].map(([path, tail]) => [path, tail.end(list)])) };
}

interface Needed {
  readonly bytes: number;
  readonly of: { readonly line: string; readonly revision: number };
}

function wrongSize(list: FindingList, object: string, { bytes, of }: Needed, size: number): void {
  list.add({ level: 0, object, ...of, problem: `it has ${size} bytes, where the manifest says ${bytes}` });
}

function neededSizes({ lines }: Manifest): Map<string, Needed> {
  const needed = new Map<string, Needed>();
  for (const { id: line, objects } of lines) {
    for (const object of objects) {
      if (object.kind === 'stretch') needed.set(object.path, { bytes: object.bytes, of: { line, revision: object.base.revision } });
      else for (const { path, bytes } of object.parts) needed.set(path, { bytes, of: { line, revision: object.position.revision } });
    }
  }
  return needed;
}

function tailNumbers({ lines }: Manifest): Map<string, TailNumbers> {
  return new Map(lines.flatMap(line => line.tails.map(note => [note.path, new TailNumbers(line, note.path, note.from)] as const)));
}

/** Gathers the objects of a tail, as they come in a list. */
class TailNumbers {
  readonly #line: ArchiveLine;
  readonly #path: string;
  readonly #from: number;
  readonly #objects: StoredTailObject[] = [];

  constructor(line: ArchiveLine, path: string, from: number) {
    this.#line = line;
    this.#path = path;
    this.#from = from;
  }

  take(key: string, bytes: number): void {
    const name = key.slice(key.lastIndexOf('/') + 1);
    const number = /^\d{10}$/.test(name) ? Number(name) : 0;
    if (number >= this.#from) this.#objects.push({ path: key, number, bytes });
  }

  /** Only the first ones, up to the first that is missing, can be read. */
  end(list: FindingList): readonly StoredTailObject[] {
    const objects = this.#objects.toSorted((a, b) => a.number - b.number);
    const first = objects.findIndex(({ number }, index) => number !== this.#from + index);
    if (first < 0) return objects;
    const lost = this.#from + first;
    const object = `${this.#path}/${String(lost).padStart(10, '0')}`;
    const next = objects[first]!.number;
    const behind = this.#objects.length - first;
    const problem = `it is missing, and ${next} follows: what is in ${behind === 1 ? 'that one' : `the ${behind} objects from there on`} can't be restored`;
    const revision = this.#line.tails.find(({ path }) => path === this.#path)!.base.revision;
    list.add({ level: 0, object, line: this.#line.id, revision, problem });
    return objects.slice(0, first);
  }
}
