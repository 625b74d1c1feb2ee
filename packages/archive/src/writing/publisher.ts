import type { Clock, Random } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import type { ArchiveHead } from '../format/archive-head.ts';
import { damagedObject } from '../format/checked.ts';
import { encodeHead, parseHead } from '../format/head-codec.ts';
import type { Manifest } from '../format/manifest.ts';
import { encodeManifest, parseManifest } from '../format/manifest-codec.ts';
import { HEAD_KEY, manifestKey } from '../format/object-keys.ts';
import type { Target } from '../targets/target.ts';
import { wait } from '../targets/waiting.ts';

/** HEAD is tried to be moved so often while others move it all the time. */
const ROUND_LIMIT = 64;
/** After a lost round the next one begins within this time, in milliseconds. */
const ROUND_PAUSE_MS = 50;

/** What an archive is at a moment. */
export interface ArchiveState {
  readonly head: ArchiveHead;
  /** Undefined before the first backup. */
  readonly manifest: Manifest | undefined;
}

/** What is to be different: whatever is left out stays. */
export interface Publication {
  readonly head?: Partial<Pick<ArchiveHead, 'drilled' | 'verified' | 'conditions'>>;
  readonly manifest?: Pick<Manifest, 'stream' | 'lines' | 'condemned'>;
}

/**
 * Makes a publication from what the archive is now. It may be called several times, each time with what others have
 * published meanwhile, and also after its own publication: then it returns undefined.
 * @param time the target's own, milliseconds since 1970
 */
export type PlannedChange = (state: ArchiveState, time: number) => Publication | undefined;

/** Moves HEAD, the one object that several writers share: by compare-and-swap, each time from what it is. */
export class Publisher {
  readonly #target: Target;
  readonly #clock: Clock;
  readonly #random: Random;
  /** The manifest that was read or written last, with its hash. */
  #known: { readonly sha256: string; readonly manifest: Manifest } | undefined;

  constructor(parts: { readonly target: Target; readonly clock: Clock; readonly random: Random }) {
    this.#target = parts.target;
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** @throws EvertreeError NOT_FOUND if there is no archive; DAMAGED, FORMAT_UNSUPPORTED; what the target throws */
  async read(): Promise<ArchiveState> {
    const { state } = await this.#read();
    return state;
  }

  /**
   * Publishes a change. What it names has to be in the target by then.
   * @returns what the archive is after it
   * @throws EvertreeError as `read`, and what `change` throws
   */
  async publish(change: PlannedChange): Promise<ArchiveState> {
    for (let round = 0; round < ROUND_LIMIT; round++) {
      if (round > 0) await wait(this.#clock, this.#random.fraction() * ROUND_PAUSE_MS);
      const { state, tag } = await this.#read();
      const time = await this.#target.now();
      const publication = change(state, time);
      if (publication === undefined) return state;
      const next = await this.#prepare(state, publication, time);
      const moved = await this.#target.replace(HEAD_KEY, encodeHead(next.head), tag);
      if (moved !== 'changed') return next;
    }
    const message = `${this.#target.name}: HEAD was moved by others ${ROUND_LIMIT} times in a row; try again later`;
    throw new EvertreeError('UNREACHABLE', message, { target: this.#target.name });
  }

  /** Writes the manifest, and makes the HEAD that names it. */
  async #prepare(state: ArchiveState, { head, manifest: changed }: Publication, time: number): Promise<ArchiveState> {
    const { head: before } = state;
    const moved: ArchiveHead = { ...before, ...head, counter: before.counter + 1, time };
    if (changed === undefined) return { head: moved, manifest: state.manifest };
    const manifest: Manifest = { archive: before.archive, previous: before.manifest, time, ...changed };
    const { bytes, sha256 } = encodeManifest(manifest);
    // Its key is its hash: if it is there already it is the same.
    await this.#target.create(manifestKey(sha256), bytes);
    this.#known = { sha256, manifest };
    return { head: { ...moved, stream: changed.stream, manifest: sha256 }, manifest };
  }

  async #read(): Promise<{ readonly state: ArchiveState; readonly tag: string }> {
    const found = await this.#target.get(HEAD_KEY);
    if (found === undefined) throw noArchive(this.#target.name);
    const head = parseHead(found.bytes);
    return { state: { head, manifest: head.manifest === null ? undefined : await this.#manifest(head.manifest) }, tag: found.tag };
  }

  async #manifest(sha256: string): Promise<Manifest> {
    if (this.#known?.sha256 === sha256) return this.#known.manifest;
    const found = await this.#target.get(manifestKey(sha256));
    if (found === undefined) throw damagedObject(manifestKey(sha256), 'HEAD names it, and it is missing');
    const manifest = parseManifest(found.bytes, sha256);
    this.#known = { sha256, manifest };
    return manifest;
  }
}

/** There is no HEAD. */
export function noArchive(target: string): EvertreeError {
  const message = `there is no archive in ${target}: it has no HEAD; make one with "evertree backup init ${target}", or check the name`;
  return new EvertreeError('NOT_FOUND', message, { target });
}
