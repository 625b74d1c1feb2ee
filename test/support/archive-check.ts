import { createHash } from 'node:crypto';
import type { ArchiveLine, Identities, Target } from '@evertree/archive';
import { type Frame, frameHash, frameLength, NO_CHAIN, ORIGIN, parseFrame, RebuiltTree, samePosition } from '@evertree/core';
import { openObject } from '../../packages/archive/src/format/sealed-object.ts';
import { parseImageHead, readChunks } from '../../packages/archive/src/format/image-payload.ts';
import { tailKey } from '../../packages/archive/src/format/object-keys.ts';
import { HeadPublisher } from '@evertree/archive';
import { systemClock as clock, systemRandom as random } from './host.ts';

/** What a line gives, read as ARCHIVE.md says, by nothing of what the program reads it with. */
export interface CheckedLine {
  readonly id: string;
  readonly line: ArchiveLine;
  /** The states that can be restored: the digest behind each frame and image, by revision and epoch id. */
  readonly states: ReadonlyMap<string, string>;
  readonly last: { readonly epoch: number; readonly epochId: string; readonly revision: number };
  readonly digest: string;
}

/** Reads a whole archive, and throws for whatever is not as its manifest says. */
export async function checkArchive(target: Target, identities?: Identities): Promise<CheckedLine[]> {
  const { manifest } = await new HeadPublisher({ target, clock, random }).read();
  const checked: CheckedLine[] = [];
  for (const line of manifest?.lines ?? []) checked.push(await checkLine(target, line, identities));
  return checked;
}

export function stateKey({ epochId, revision }: { readonly epochId: string; readonly revision: number }): string {
  return `${epochId}-${revision}`;
}

async function checkLine(target: Target, line: ArchiveLine, identities: Identities | undefined): Promise<CheckedLine> {
  const states = new Map<string, string>();
  let tree: RebuiltTree | undefined;
  let end: { readonly position: typeof ORIGIN; readonly chain: string } | undefined;
  /** Images that begin nothing. One within a stretch ends before it, and so comes before it. */
  let within: { readonly position: typeof ORIGIN; readonly digest: string }[] = [];
  const take = (frame: Frame) => {
    const { header } = frame;
    if (end === undefined && samePosition(header.base, ORIGIN)) {
      tree = RebuiltTree.empty();
      end = { position: ORIGIN, chain: NO_CHAIN };
    }
    if (end === undefined || tree === undefined) throw new Error(`line ${line.id} begins with frames at ${header.base.revision}`);
    if (header.last.revision <= end.position.revision) return;
    if (!samePosition(header.base, end.position) || header.previous !== end.chain) {
      throw new Error(`line ${line.id} has a frame behind ${header.base.revision} where it ends at ${end.position.revision}`);
    }
    tree.apply(frame);
    end = { position: header.last, chain: frameHash(frame) };
    states.set(stateKey(header.last), header.digest);
  };
  for (const object of line.objects) {
    if (object.kind === 'stretch') {
      const { payload, header } = await read(target, object, identities);
      const frames = [...framesOf(payload)];
      if (!samePosition(frames[0]!.header.base, object.base)) throw new Error(`${object.path} begins elsewhere`);
      if (!samePosition(frames.at(-1)!.header.last, object.last)) throw new Error(`${object.path} ends elsewhere`);
      if (frames.at(-1)!.header.digest !== object.digest || frameHash(frames.at(-1)!) !== object.chain)
        throw new Error(`${object.path} lies`);
      if (JSON.stringify(header['marks']) !== JSON.stringify(object.marks)) throw new Error(`${object.path} has other marks`);
      for (const frame of frames) take(frame);
    } else {
      const chunks: Buffer[] = [];
      for (const part of object.parts) chunks.push(...readChunks((await read(target, part, identities)).payload, part.path));
      const header = parseImageHead(chunks.shift()!, 'the image');
      const image = await RebuiltTree.from({
        header,
        bytes: 0,
        async *chunks() {
          yield* chunks;
        },
      });
      if (image.digest !== object.digest) throw new Error(`the image at ${object.position.revision} has another digest`);
      const isGap = line.gaps.some(gap => samePosition(gap.to, object.position));
      if (end === undefined || isGap) {
        tree = image;
        end = { position: object.position, chain: object.chain };
        states.set(stateKey(object.position), object.digest);
      } else {
        within.push(object);
      }
    }
    const { revision } = end!.position;
    for (const { position, digest } of within.filter(each => each.position.revision <= revision)) {
      if (states.get(stateKey(position)) !== digest) throw new Error(`the image at ${position.revision} is of no state of line ${line.id}`);
    }
    within = within.filter(each => each.position.revision > revision);
  }
  const [beyond] = within;
  if (beyond !== undefined)
    throw new Error(`the image at ${beyond.position.revision} is beyond all frames of line ${line.id}, without a gap`);
  for (const [index, tail] of line.tails.entries()) {
    if (end === undefined || !samePosition(tail.base, end.position) || tail.previous !== end.chain)
      throw new Error(`the tail ${tail.path} begins elsewhere`);
    if (index > 0) throw new Error('there are several tails');
    let after: string | null | undefined;
    for (let number = tail.from; ; number++) {
      const key = tailKey(tail.path, number);
      const found = await target.get(key);
      if (found === undefined) break;
      const { payload, header, sha256 } = await openObject(found.bytes, identities, key);
      if (after !== undefined && (header as { after?: unknown }).after !== after) throw new Error(`${key} names another object before it`);
      after = sha256;
      for (const frame of framesOf(payload)) take(frame);
    }
  }
  if (end === undefined || tree === undefined) throw new Error(`line ${line.id} has nothing to begin with`);
  return { id: line.id, line, states, last: end.position, digest: tree.digest };
}

async function read(
  target: Target,
  entry: { readonly path: string; readonly bytes: number; readonly sha256: string },
  identities: Identities | undefined,
) {
  const found = await target.get(entry.path);
  if (found === undefined) throw new Error(`${entry.path} is missing`);
  if (found.bytes.length !== entry.bytes) throw new Error(`${entry.path} has another size`);
  const sum = createHash('sha256').update(found.bytes.subarray(0, -32)).digest('hex');
  if (sum !== entry.sha256 || sum !== found.bytes.toString('hex', found.bytes.length - 32))
    throw new Error(`${entry.path} has another sum`);
  const opened = await openObject(found.bytes, identities, entry.path);
  return { payload: opened.payload, header: opened.header as unknown as Record<string, unknown> };
}

function* framesOf(payload: Buffer): Generator<Frame> {
  for (let offset = 0; offset < payload.length;) {
    const length = frameLength(payload.subarray(offset));
    yield parseFrame(payload.subarray(offset, offset + length));
    offset += length;
  }
}
