import { EvertreeError, formatPosition, isEvertreeError, RebuiltTree } from '@evertree/core';
import { Archive } from '../reading/archive.ts';
import type { ArchiveVerificationOptions } from './archive-verification.ts';
import { type FindingList, problemOf } from './archive-finding.ts';
import { type DrawnState, drawSeed, drawState } from './drawn-state.ts';

/**
 * Level 3: rebuilds a state that is drawn, on the way that a restore takes, and compares its digest with the one that the
 * live site recorded.
 * @returns undefined if nothing could be drawn; why is among the findings then
 */
export async function rebuildDrawn(
  options: Omit<ArchiveVerificationOptions, 'rotation'>,
  list: FindingList,
): Promise<DrawnState | undefined> {
  const { target, identities, random, seed = drawSeed(random.fraction()) } = options;
  let drawn: DrawnState | undefined;
  try {
    const archive = await Archive.open(target, { identities });
    drawn = await drawState(archive, identities, seed);
    await rebuild(archive, drawn, options.signal);
  } catch (error) {
    const object = isEvertreeError(error) ? error.details['object'] : undefined;
    if (isEvertreeError(error, 'NOT_FOUND') && list.count > 0) return undefined;
    const name = typeof object === 'string' ? object : (drawn?.line ?? 'HEAD');
    const problem = `the state drawn with the seed ${seed} can't be rebuilt: ${problemOf(error)}`;
    if (!list.has(name)) list.add({ level: 3, object: name, line: drawn?.line ?? null, ...optionalRevision(drawn), problem });
  }
  return drawn;
}

async function rebuild(archive: Archive, { line, position, digest }: DrawnState, signal: AbortSignal | undefined): Promise<void> {
  const plan = await archive.plan(position, { line });
  const tree = plan.image === undefined ? RebuiltTree.empty() : await RebuiltTree.from(await archive.image(line, plan.image));
  for await (const frame of archive.frames(plan)) {
    if (signal?.aborted === true) return;
    tree.apply(frame);
  }
  if (tree.digest === digest) return;
  const message = `the rebuilt tree has the digest ${tree.digest} at ${formatPosition(position)}, where the site recorded ${digest}`;
  throw new EvertreeError('DIGEST_MISMATCH', message, { expected: digest, found: tree.digest, position });
}

function optionalRevision(drawn: DrawnState | undefined): { readonly revision?: number } {
  return drawn === undefined ? {} : { revision: drawn.position.revision };
}
