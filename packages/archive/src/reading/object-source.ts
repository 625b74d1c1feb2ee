import { EvertreeError } from '@evertree/core';
import type { Opening } from '../encryption/sealing.ts';
import { damagedObject } from '../format/checked.ts';
import type { RevisionSpan } from '../format/gathering.ts';
import { releaseSource } from '../format/memory.ts';
import { openObject, readObjectHead, type ObjectHead, type OpenedObject } from '../format/sealed-object.ts';
import type { Target } from '../targets/target.ts';

/** An object as a manifest names it. */
export interface DescribedObject {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The archive whose objects are read. */
export interface SourceArchive {
  readonly archive: string;
  /** Nothing that is not encrypted is taken then: whoever can only write to the target could have put it there. */
  readonly isEncrypted: boolean;
  readonly opening: Opening;
}

/** Stored bytes of objects that are likely to be read again soon. */
const KEPT_BYTES = 8 * 1024 * 1024;

/** Gets sealed objects of one archive, and compares each with what the manifest says of it. */
export class ObjectSource {
  readonly #target: Target;
  readonly #archive: string;
  readonly #opening: Opening;
  readonly #isEncrypted: boolean;
  readonly #kept = new Map<string, Buffer>();
  #keptBytes = 0;

  constructor(target: Target, { archive, isEncrypted, opening }: SourceArchive) {
    this.#target = target;
    this.#archive = archive;
    this.#opening = opening;
    this.#isEncrypted = isEncrypted;
  }

  /**
   * The head of an object that no manifest describes; its bytes are kept for `open`, within a bound.
   * @returns undefined if there is no such object
   * @throws EvertreeError DAMAGED
   */
  async head(path: string): Promise<(ObjectHead & { readonly bytes: number }) | undefined> {
    const object = await this.#target.get(path);
    if (object === undefined) return undefined;
    const head = readObjectHead(object.bytes, path);
    this.#assertOurs(head, path);
    if (this.#keptBytes + object.bytes.length <= KEPT_BYTES) {
      this.#keptBytes += object.bytes.length;
      this.#kept.set(path, object.bytes);
    }
    return { ...head, bytes: object.bytes.length };
  }

  /** @throws EvertreeError DAMAGED if it is missing or is not what was stored */
  async load({ path, bytes }: DescribedObject): Promise<Buffer> {
    const stored = this.#release(path) ?? (await this.#target.get(path))?.bytes;
    assertLength(path, bytes, stored?.length);
    return stored!;
  }

  /** @throws EvertreeError DAMAGED if it is missing or has another length */
  async assertThere({ path, bytes }: DescribedObject): Promise<void> {
    if (!this.#kept.has(path)) assertLength(path, bytes, (await this.#target.stat(path))?.size);
  }

  /**
   * Opens what was loaded, and gives its memory back: it is not valid any more.
   * @param span of the frames whose changes are gathered
   * @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED, IDENTITY_NEEDED
   */
  async open(stored: Buffer, { path, sha256 }: DescribedObject, span?: RevisionSpan): Promise<OpenedObject> {
    const opened = await openObject(stored, this.#opening, path, span);
    releaseSource(stored, opened.payload);
    if (opened.sha256 !== sha256) {
      throw damagedObject(path, `its sum is ${opened.sha256}, where the manifest says ${sha256}`, {
        expected: sha256,
        found: opened.sha256,
      });
    }
    this.#assertOurs(opened, path);
    return opened;
  }

  /** Each kept object is read once more, as a rule: its memory goes with that. */
  #release(path: string): Buffer | undefined {
    const kept = this.#kept.get(path);
    if (kept !== undefined && this.#kept.delete(path)) this.#keptBytes -= kept.length;
    return kept;
  }

  #assertOurs({ header, isEncrypted }: ObjectHead, path: string): void {
    if (this.#isEncrypted && !isEncrypted) throw damagedObject(path, 'it is not encrypted, and the archive is');
    if (header.archive === this.#archive) return;
    const message = `${path} is of another archive: of ${header.archive}, and this one is ${this.#archive}`;
    throw new EvertreeError('DAMAGED', message, {
      object: path,
      problem: 'it is of another archive',
      expected: this.#archive,
      found: header.archive,
    });
  }
}

function assertLength(path: string, expected: number, found: number | undefined): void {
  if (found === undefined) throw damagedObject(path, 'it is missing');
  if (found === expected) return;
  throw damagedObject(path, `it has ${found} bytes, where the manifest says ${expected}`, { expected, found });
}

/** The key of the object that an error is about; undefined for errors about something else. */
export function objectOf(error: EvertreeError): string | undefined {
  const { object } = error.details;
  return typeof object === 'string' ? object : undefined;
}
