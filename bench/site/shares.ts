import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Store, openStore } from 'evertree';
import { now } from '../clock.ts';
import { type Shape, PICKS, picks } from '../shape.ts';
import { fill } from './fill.ts';

export interface Shares {
  /** Nanoseconds a commit, with its part of the frame and of the digest. */
  readonly commitNs: number;
  readonly digestNs: number;
  /** What a listener adds that no commit concerns, and one that every commit concerns. */
  readonly strangerNs: number;
  readonly listenerNs: number;
}

/**
 * Measures the part of a commit that the digest and listeners take, in a store without a disk.
 * @param perFrame commits to a frame, over which the digest is shared
 */
export async function shares(shape: Shape, count: number, perFrame: number): Promise<Shares> {
  await using store = await openStore({ data: 'memory' });
  await fill(store, shape);
  const paths = picks(shape);
  const warmUp = () => commits(store, paths, PICKS, perFrame);
  const measured = () => commits(store, paths, count, perFrame);
  await measured();
  const plain = await measured();
  const strange = await heard(store, '/elsewhere/*', warmUp, measured);
  const concerned = await heard(store, '/devices/*/interfaces/*/*', warmUp, measured);
  const perCommit = (ms: number) => (ms / count) * 1e6;
  return {
    commitNs: perCommit(plain.totalMs),
    digestNs: perCommit(plain.digestMs),
    strangerNs: perCommit(strange.totalMs - plain.totalMs),
    listenerNs: perCommit(concerned.totalMs - plain.totalMs),
  };
}

async function commits(
  store: Store,
  paths: readonly string[][],
  count: number,
  perFrame: number,
): Promise<{ totalMs: number; digestMs: number }> {
  const first = store.position.revision;
  const started = now();
  let digestMs = 0;
  for (let done = 0; done < count;) {
    const end = Math.min(count, done + perFrame);
    for (; done < end; done++) store.put(paths[done % PICKS]!, first + done);
    // The digest is computed here, so cutting the frame does not compute it again.
    const before = now();
    if (store.digest.length === 0) throw new Error('no digest');
    digestMs += now() - before;
    store.cut();
    await nextTurn();
  }
  return { totalMs: now() - started, digestMs };
}

async function heard<T>(store: Store, path: string, warmUp: () => Promise<unknown>, run: () => Promise<T>): Promise<T> {
  using _ = store.listen(path, () => undefined);
  // The first event pins the tree, so the next changes copy nodes once: that is not part of a commit's usual cost.
  await warmUp();
  return run();
}
