import { type HeadChange, movingHead, readHeadState } from '@evertree/archive';
import { describe, expect, it } from 'vitest';
import { initialized, lineOf, putEntry, stretch, STREAM } from '../support/archive-entries.ts';
import { MemoryTarget } from '../support/memory-target.ts';

async function opened(): Promise<MemoryTarget> {
  const target = new MemoryTarget();
  await initialized(target);
  return target;
}

/** A change that is not made twice: it adds one stretch to the line. */
function adding(from: number, to: number) {
  const entry = stretch(from, to);
  return ({ manifest }: { manifest: Awaited<ReturnType<typeof readHeadState>>['manifest'] }): HeadChange | undefined => {
    const [line = lineOf([])] = manifest?.lines ?? [];
    if (line.objects.some(present => present.kind === 'stretch' && present.path === entry.path)) return undefined;
    const objects = [...line.objects, entry];
    return { manifest: { stream: STREAM, lines: [{ ...line, objects }], condemned: manifest?.condemned ?? [] } };
  };
}

async function heldRevisions(target: MemoryTarget): Promise<number[]> {
  const { manifest } = await readHeadState(target);
  return manifest!.lines.flatMap(({ objects }) => objects.map(entry => (entry.kind === 'stretch' ? entry.last.revision : 0)));
}

describe('HEAD moves', () => {
  it('with what each of several writers adds at one time', async () => {
    const target = await opened();
    for (const [from, to] of [
      [0, 5],
      [5, 9],
      [9, 12],
    ] as const)
      await putEntry(target, stretch(from, to));
    await Promise.all([
      movingHead(target, adding(0, 5)),
      movingHead(target.client(), adding(5, 9)),
      movingHead(target.client(), adding(9, 12)),
    ]);
    expect((await heldRevisions(target)).toSorted((a, b) => a - b)).toEqual([5, 9, 12]);
    expect((await readHeadState(target)).head.counter).toBe(4);
  });

  it('to a manifest that is there before', async () => {
    const target = await opened();
    await putEntry(target, stretch(0, 5));
    target.dieAfter(target.writes + 1 - target.writes);
    await expect(movingHead(target, adding(0, 5))).rejects.toMatchObject({ code: 'CLOSED' });
    const next = target.client();
    expect((await readHeadState(next)).manifest).toBeUndefined();
    expect(next.keys.filter(key => key.startsWith('manifest/'))).toHaveLength(1);
    await movingHead(next, adding(0, 5));
    expect(await heldRevisions(next)).toEqual([5]);
  });

  it('with the time of the target at which an entry first counted', async () => {
    const target = await opened();
    await putEntry(target, stretch(0, 5));
    await movingHead(target, adding(0, 5));
    const { manifest } = await readHeadState(target);
    const [first] = manifest!.lines[0]!.objects;
    expect(first!.archived).toBe(manifest!.time);
    await putEntry(target, stretch(5, 9));
    await movingHead(target, adding(5, 9));
    expect((await readHeadState(target)).manifest!.lines[0]!.objects[0]!.archived).toBe(manifest!.time);
  });

  it('once where the answer was lost', async () => {
    const target = await opened();
    await putEntry(target, stretch(0, 5));
    target.fail({ operation: 'replace', key: /^HEAD$/, tookEffect: true, times: 1 });
    await movingHead(target, adding(0, 5));
    expect((await readHeadState(target)).head.counter).toBe(2);
  });

  it('once where a repeated request is told that HEAD has changed, and others went on from there', async () => {
    const target = await opened();
    for (const entry of [stretch(0, 5), stretch(5, 9)]) await putEntry(target, entry);
    const replace = target.replace.bind(target);
    const other = target.client();
    target.replace = async (key, bytes, tag) => {
      target.replace = replace;
      await replace(key, bytes, tag);
      await movingHead(other, adding(5, 9));
      await movingHead(other, () => ({ head: { conditions: false } }));
      return 'changed';
    };
    let asked = 0;
    const change = adding(0, 5);
    await movingHead(target, state => (asked++, change(state)));
    expect({ asked, held: await heldRevisions(target) }).toEqual({ asked: 1, held: [5, 9] });
  });

  it('anew where another one took the place of a change that made no manifest', async () => {
    const target = await opened();
    await putEntry(target, stretch(0, 5));
    await movingHead(target, adding(0, 5));
    const replace = target.replace.bind(target);
    const other = target.client();
    target.replace = async (key, bytes, tag) => {
      target.replace = replace;
      await putEntry(other, stretch(5, 9));
      await movingHead(other, adding(5, 9));
      return replace(key, bytes, tag);
    };
    await movingHead(target, () => ({ head: { verified: { time: 1, level: 1, passed: true, report: 'verified/1' } } }));
    expect((await readHeadState(target)).head).toMatchObject({ counter: 4, verified: { level: 1 } });
    expect(await heldRevisions(target)).toEqual([5, 9]);
  });

  it('never to what is missing or condemned', async () => {
    const target = await opened();
    await expect(movingHead(target, adding(0, 5))).rejects.toMatchObject({ code: 'COMPACTED', details: { paths: [stretch(0, 5).path] } });
    const { path, bytes } = stretch(0, 5);
    await putEntry(target, stretch(0, 5));
    await movingHead(target, () => ({ manifest: { stream: STREAM, lines: [], condemned: [{ path, bytes, since: 1 }] } }));
    await expect(movingHead(target, adding(0, 5))).rejects.toMatchObject({ code: 'COMPACTED', details: { paths: [path] } });
  });

  it('not for ever where others are always first', async () => {
    const target = await opened();
    target.replace = () => Promise.resolve('changed');
    await putEntry(target, stretch(0, 5));
    await expect(movingHead(target, adding(0, 5))).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });
});
