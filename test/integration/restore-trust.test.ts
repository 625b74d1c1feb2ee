import { createHash } from 'node:crypto';
import {
  Identities,
  readArchivedSubtree,
  Recipients,
  type Restored,
  type RestoreOptions,
  restoreSite,
  type StretchEntry,
  verifyArchive,
} from '@evertree/archive';
import { EvertreeError, type ExactPosition } from '@evertree/core';
import { writeUnfinished } from '@evertree/journal/files';
import { describe, expect, test } from 'vitest';
import { encodeHead, parseHead } from '../../packages/archive/src/format/head-codec.ts';
import { sealPrivate } from '../../packages/archive/src/format/private-part.ts';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { IDENTITY, RECIPIENT } from '../support/archived-history.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { archiveHistory, oracleHistory } from '../support/restorable.ts';
import { framesOf, memoryStore } from '../support/stores.ts';

type Wish = Omit<Partial<RestoreOptions>, 'dryRun'>;

function restore(target: MemoryTarget, wish: Wish = {}, disk = new FaultDisk()): Promise<Restored> {
  return restoreSite({ target, disk, clock: systemClock, random: systemRandom, ...wish, dryRun: false });
}

async function refused(target: MemoryTarget, wish: Wish = {}): Promise<EvertreeError> {
  const disk = new FaultDisk();
  const error = await restore(target, wish, disk).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(EvertreeError);
  expect(disk.files.filter(path => path !== 'lock')).toEqual([]);
  return error as EvertreeError;
}

const RECIPIENTS = Recipients.parse([RECIPIENT]);

describe('the name of an archived site', () => {
  test('is refused if printing it could do something to a terminal', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await maker.line('north\u001b[2J').stretch((await oracleHistory(26, 5)).frames);
    await maker.publish();
    expect((await refused(target)).message).toContain('must have no control characters');
  });

  test('is taken only encrypted from an archive that is encrypted', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing: RECIPIENTS });
    await maker.line('north').stretch((await oracleHistory(26, 5)).frames);
    await maker.publish(manifest => ({ ...manifest, lines: manifest.lines.map(line => ({ ...line, private: { site: 'south' } })) }));
    const error = await refused(target, { identities: Identities.parse([IDENTITY]) });
    expect(error.message).toContain('the name of a site in it is not encrypted');
    const { passed, findings } = await verifyArchive({ target, clock: systemClock, random: systemRandom, level: 0 });
    expect(passed).toBe(false);
    expect(findings).toMatchObject([{ level: 0, problem: expect.stringContaining('is not encrypted') as string }]);
  });
});

describe('JSON that is nested without end', () => {
  const NESTED = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;

  test('in HEAD is damage: the newest sound manifest is taken', async () => {
    const target = new MemoryTarget();
    const made = await oracleHistory(29, 20);
    await archiveHistory(target, made);
    target.overwrite('HEAD', () => Buffer.from(`{"format":"evertree archive 1","archive":${NESTED}}`));
    const { position } = made.states.at(-1)!;
    expect((await refused(target)).message).toContain('HEAD is damaged: "archive" is nested too deeply');
    expect((await restore(target, { to: position })).base).toEqual(position);
  });

  test('in the name of a site is damage', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await maker.line('north').stretch((await oracleHistory(29, 5)).frames);
    const hash = await maker.publish();
    const text = target.bytes(`manifest/${hash}`).toString().replace('{"site":"north"}', `{"site":${NESTED}}`);
    const forged = createHash('sha256').update(text).digest('hex');
    await target.create(`manifest/${forged}`, Buffer.from(text));
    target.overwrite('HEAD', bytes => encodeHead({ ...parseHead(bytes), manifest: forged }));
    expect((await refused(target)).message).toContain('"site" is nested too deeply');
  });
});

describe('an encrypted archive', () => {
  const identities = Identities.parse([IDENTITY]);

  test.each([0, 4])(
    'gives back nothing that is not encrypted, with %i frames in a tail: keys are not needed to write that',
    async tailed => {
      const target = new MemoryTarget();
      const maker = new ArchiveMaker(target);
      const line = maker.line('north');
      const { frames } = await oracleHistory(21, 20);
      await line.stretch(frames.slice(0, frames.length - tailed));
      const [object = (line.objects[0] as StretchEntry).path] = tailed === 0 ? [] : await line.tail([frames.slice(-tailed)]);
      const name = await sealPrivate({ site: 'north' }, RECIPIENTS);
      await maker.publish(manifest => ({ ...manifest, lines: manifest.lines.map(each => ({ ...each, private: name })) }));
      target.overwrite('HEAD', bytes => encodeHead({ ...parseHead(bytes), recipients: RECIPIENTS.hashes }));
      const error = await refused(target, { identities });
      expect(error.code).toBe('DAMAGED');
      expect(error.message).toContain(`${object} is damaged: it is not encrypted, and the archive is`);
    },
  );

  test('that says it is not encrypted is refused to whoever has an identity for it', async () => {
    const target = new MemoryTarget();
    await archiveHistory(target, await oracleHistory(21, 20));
    const error = await refused(target, { identities });
    expect(error).toMatchObject({ code: 'CONFIGURATION_INVALID' });
    expect(error.message).toContain('is not encrypted');
  });
});

describe('a restore that names no line', () => {
  test('is refused if another line would stand, were it not damaged', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const made = await oracleHistory(22, 30);
    const former = maker.line('north');
    for (const group of inGroups(made.frames, 3)) await former.stretch(group);
    const { store } = await memoryStore({ site: 'south', role: 'secondary' });
    for (const frame of made.frames) store.applyFrame(frame);
    store.beginEpoch({ number: 70, id: '7'.repeat(16) }, 'a promotion elsewhere');
    await store.flush();
    const [epoch] = (await framesOf(store.journal)).slice(made.frames.length);
    await store.close();
    const present = maker.line('south');
    await present.stretch(made.frames);
    const [tail] = await present.tail([[epoch!]]);
    await maker.publish();
    expect((await restore(target)).base.epoch).toBe(70);
    target.overwrite(tail!, bytes => ((bytes[70]! ^= 1), bytes));
    const error = await refused(target);
    expect(error).toMatchObject({ code: 'DAMAGED', details: { object: tail } });
    expect(error.message).toContain('--line');
    expect((await restore(target, { line: 'north' })).base).toEqual(made.frames.at(-1)!.header.last);
  });
});

describe('a restore to a mark', () => {
  test('is refused if the archive lost where the mark may have been moved to, and given if its position is named', async () => {
    const { store } = await memoryStore({ site: 'north' });
    const marked: ExactPosition[] = [];
    for (const value of [1, 2]) {
      store.put(['value'], value);
      store.mark('release', { move: true });
      await store.flush();
      marked.push(store.position);
    }
    const frames = await framesOf(store.journal);
    await store.close();
    const kept = frames.findIndex(({ header }) => header.last.revision === marked[0]!.revision) + 1;
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line('north');
    await line.stretch(frames.slice(0, kept));
    const [tail] = await line.tail([frames.slice(kept)]);
    await maker.publish();
    const to = { mark: 'release' };
    expect((await restore(target, { to })).base).toEqual(marked[1]);
    target.overwrite(tail!, bytes => ((bytes[70]! ^= 1), bytes));
    const error = await refused(target, { to });
    expect(error).toMatchObject({ code: 'DAMAGED', details: { object: tail, nearest: { before: marked[0] } } });
    expect(error.message).toContain('the mark "release" may have been moved in what is lost');
    expect((await restore(target, { to: marked[0]! })).base).toEqual(marked[0]);
  });

  test('that went with what is damaged is refused with the line, the damaged object and what helps', async () => {
    const { store } = await memoryStore({ site: 'north' });
    store.put(['value'], 1);
    await store.flush();
    const { position } = store;
    store.mark('release');
    await store.flush();
    const frames = await framesOf(store.journal);
    await store.close();
    const kept = frames.findIndex(({ header }) => header.last.revision === position.revision) + 1;
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line('north');
    await line.stretch(frames.slice(0, kept));
    const [tail] = await line.tail([frames.slice(kept)]);
    await maker.publish();
    expect((await refused(target, { to: { mark: 'another' } })).message).not.toContain('damage');
    target.overwrite(tail!, bytes => ((bytes[70]! ^= 1), bytes));
    for (const [to, code] of [
      [{ mark: 'release' }, 'NOT_FOUND'],
      [{ ...position, revision: position.revision + 1 }, 'POSITION_MISMATCH'],
    ] as const) {
      const error = await refused(target, { to });
      expect(error).toMatchObject({ code, details: { object: tail } });
      expect(error.message).toMatch(/; it may be in what is damaged in the line [0-9a-f]{16} of north: .*tail\/.*\. "evertree verify/);
      expect(error.message).toContain(`"evertree verify ${target.name}" names all that is damaged`);
    }
  });
});

describe('a restore of one subtree', () => {
  test('is refused if the archive lost what came last, and given if its position is named', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const { frames, states } = await oracleHistory(28, 30);
    const line = maker.line('north');
    await line.stretch(frames.slice(0, -4));
    const [tail] = await line.tail(inGroups(frames.slice(-4), 2));
    await maker.publish();
    target.overwrite(tail!, bytes => ((bytes[70]! ^= 1), bytes));
    const read = (to?: ExactPosition) =>
      readArchivedSubtree([], { target, clock: systemClock, random: systemRandom, ...(to && { to }) }).then(({ plan }) => plan.position);
    await expect(read()).rejects.toMatchObject({ code: 'DAMAGED', details: { object: tail } });
    const { position } = states.find(state => state.position.revision === frames.at(-5)!.header.last.revision)!;
    expect(await read(position)).toEqual(position);
  });
});

describe('a restore of what is named', () => {
  test.each(['missing', 'damaged'])('is made from the newest sound manifest where HEAD is %s', async how => {
    const target = new MemoryTarget();
    const made = await oracleHistory(25, 30);
    await archiveHistory(target, made);
    if (how === 'missing') target.objects.delete('HEAD');
    else target.overwrite('HEAD', bytes => ((bytes[60]! ^= 1), bytes));
    const { position, digest } = made.states.at(-1)!;
    expect((await refused(target)).code).toBe('DAMAGED');
    expect(await restore(target, { to: position })).toMatchObject({ base: position, digest });
  });
});

describe('a restore that was killed right before its end', () => {
  test('leaves no site behind if its archive is found damaged the next time', async () => {
    const target = new MemoryTarget();
    const line = await archiveHistory(target, await oracleHistory(27, 30), { tailed: 0 });
    const disk = new FaultDisk();
    const { plan } = await restore(target, {}, disk);
    const { archive, position, image } = plan;
    const state = { archive, line: plan.line, asked: null, role: 'primary', position, image: image?.position ?? null, parts: 0 };
    await writeUnfinished(disk, { work: 'restore', ...state });
    const { path } = line.objects.findLast(({ kind }) => kind === 'stretch') as StretchEntry;
    for (const name of disk.files.filter(each => each.startsWith('journal/'))) await disk.remove(name);
    target.overwrite(path, bytes => ((bytes[bytes.length - 40]! ^= 1), bytes));
    await expect(restore(target, {}, disk)).rejects.toMatchObject({ code: 'DAMAGED' });
    expect(disk.files.filter(name => name !== 'lock')).toEqual([]);
  });
});

describe('the epoch of a restored site', () => {
  test('is above those that only objects tell of which lie behind damage', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const made = await oracleHistory(23, 30);
    const { store } = await memoryStore({ site: 'south', role: 'secondary' });
    for (const frame of made.frames) store.applyFrame(frame);
    store.beginEpoch({ number: 70, id: '7'.repeat(16) }, 'a promotion elsewhere');
    await store.flush();
    const frames = await framesOf(store.journal);
    await store.close();
    const line = maker.line('south');
    await line.stretch(frames.slice(0, -3));
    const tail = await line.tail(inGroups(frames.slice(-3), 1));
    await maker.publish();
    target.overwrite(tail[0]!, bytes => ((bytes[70]! ^= 1), bytes));
    const restored = await restore(target, { to: frames.at(-4)!.header.last });
    expect(restored.position.epoch).toBe(72);
  });

  test('is above those of lines that only a lost manifest named', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const made = await oracleHistory(24, 30);
    const line = maker.line('north');
    await line.stretch(made.frames);
    await maker.publish();
    const { store } = await memoryStore({ site: 'south', role: 'secondary' });
    for (const frame of made.frames) store.applyFrame(frame);
    store.beginEpoch({ number: 70, id: '7'.repeat(16) }, 'a promotion elsewhere');
    await store.flush();
    const frames = await framesOf(store.journal);
    await store.close();
    const other = maker.line('south');
    await other.stretch(made.frames);
    await other.tail([frames.slice(made.frames.length)]);
    const lost = await maker.publish();
    target.objects.delete(`manifest/${lost}`);
    const restored = await restore(target, { to: made.frames.at(-1)!.header.last });
    expect(restored.position.epoch).toBe(72);
  });
});
