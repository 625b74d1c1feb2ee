import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Archive, type Identities, type Target } from '@evertree/archive';
import { type ExactPosition, type Frame, RebuiltTree } from '@evertree/core';
import { expect } from 'vitest';

/** ARCHIVE.md, «Sealed object»: encrypted with age. */
const ENCRYPTED = 2;

/** What sites say their trees were: the digest at the end of each frame, by exact position. */
export class Testimony {
  readonly #digests = new Map<string, string>();

  get size(): number {
    return this.#digests.size;
  }

  /** Takes what the journal of a site says. */
  take(frames: readonly Frame[]): void {
    for (const { header } of frames) this.say(header.last, header.digest);
  }

  say(position: ExactPosition, digest: string): void {
    this.#digests.set(keyOf(position), digest);
  }

  digestAt(position: ExactPosition): string | undefined {
    return this.#digests.get(keyOf(position));
  }
}

/** What an archive was found to hold. */
export interface JudgedArchive {
  readonly lines: number;
  /** States that were rebuilt, frame by frame. */
  readonly states: number;
  readonly images: number;
  /** The newest state of each line. */
  readonly ends: readonly ExactPosition[];
}

/**
 * Rebuilds every state that an archive lists, in each of its lines, from each image and from the origin, and compares the
 * tree's digest with that of the site which wrote it.
 * @throws an assertion's error where a state is listed that can't be restored, or is another one
 */
export async function judgeArchive(target: Target, testimony: Testimony, identities?: Identities): Promise<JudgedArchive> {
  const archive = await Archive.open(target, { identities });
  expect(archive.problems, 'problems of the archive').toEqual([]);
  let states = 0;
  let images = 0;
  for (const { line, from, to, images: entries, stretches, digest } of archive.states()) {
    for (const image of entries) {
      const tree = await RebuiltTree.from(await archive.image(line, image));
      expect(tree.digest, `the image at ${keyOf(image.position)}`).toBe(image.digest);
      expectDigest(testimony, image.position, tree.digest);
      images += 1;
    }
    const first = entries[0];
    const tree = from.revision === 0 ? RebuiltTree.empty() : await RebuiltTree.from(await archive.image(line, first!));
    for await (const frame of archive.framesOf(line, stretches)) {
      if (frame.header.last.revision <= tree.head.last.revision) continue;
      // It compares the digest.
      tree.apply(frame);
      expectDigest(testimony, frame.header.last, frame.header.digest);
      states += 1;
    }
    expect(tree.head.last, 'the last state of the line').toEqual(to);
    expect(tree.digest).toBe(digest);
  }
  return { lines: archive.lines.length, states, images, ends: archive.lines.flatMap(({ states: of }) => of.slice(-1).map(({ to }) => to)) };
}

/** A position that no site is known to have gone through says nothing: its journal may have been cut back since. */
function expectDigest(testimony: Testimony, position: ExactPosition, digest: string): void {
  const said = testimony.digestAt(position);
  if (said !== undefined) expect(digest, `the tree at ${keyOf(position)}`).toBe(said);
}

/**
 * Looks for plain bytes among the stored ones: sealed objects that are not encrypted, and texts, as UTF-8 or UTF-16, in
 * files or in their names.
 * @returns the files
 */
export async function unsealedFiles(folder: string, texts: readonly string[]): Promise<string[]> {
  const wanted = texts.flatMap(text => [Buffer.from(text), Buffer.from(text, 'utf16le')]);
  const found: string[] = [];
  for await (const entry of glob('**/*', { cwd: folder, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    const isPlain = bytes.subarray(0, 4).toString('latin1') === 'EVTA' && (bytes.readUInt16LE(6) & ENCRYPTED) === 0;
    if (isPlain || wanted.some(each => bytes.includes(each)) || texts.some(text => entry.name.includes(text))) found.push(path);
  }
  return found;
}

function keyOf({ epoch, epochId, revision }: ExactPosition): string {
  return `${epoch}-${revision} of ${epochId}`;
}
