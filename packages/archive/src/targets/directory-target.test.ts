import * as nodeFiles from 'node:fs/promises';
import { mkdir, mkdtemp, readdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tryLock } from '@evertree/journal/files';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../../../test/support/host.ts';
import type { DirectoryCalls } from './directory-calls.ts';
import { DirectoryTarget, type DirectoryTargetOptions } from './directory-target.ts';

const host = { clock: systemClock, random: systemRandom };
const OLD = Buffer.alloc(20_000, 1);
const NEW = Buffer.alloc(30_000, 2);

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-directory-target-'));
});
afterEach(() => rm(root, { recursive: true }));

function open(options: Partial<DirectoryTargetOptions> = {}, name = 'archive'): Promise<DirectoryTarget> {
  return DirectoryTarget.open(join(root, name), { ...host, ...options });
}

async function keysOf(target: DirectoryTarget): Promise<string[]> {
  return (await Array.fromAsync(target.list(''))).map(({ key }) => key);
}

class Dead extends Error {}

/** Calls that note their names, and fail or die as a test says. */
class FaultCalls {
  readonly log: string[] = [];
  dieBefore = Infinity;
  dieAt: string | undefined;
  fail: { readonly call: string; readonly code: string } | undefined;
  readonly calls: DirectoryCalls;

  constructor() {
    this.calls = new Proxy(nodeFiles, {
      get: (_, name: keyof DirectoryCalls) =>
        this.#watched(name, async (...values: never[]) => {
          const done = await (nodeFiles[name] as (...all: never[]) => Promise<unknown>)(...values);
          return name === 'open' ? this.#watchedFile(done as nodeFiles.FileHandle, String(values[0])) : done;
        }),
    });
  }

  get isDead(): boolean {
    return this.log.length >= this.dieBefore;
  }

  #watchedFile(file: nodeFiles.FileHandle, path: string): nodeFiles.FileHandle {
    const kind = path.includes('.spare/') ? 'spare' : 'directory';
    const write = (bytes: Buffer) => file.writeFile(bytes);
    const writeHalf = (bytes: Buffer) => file.writeFile(bytes.subarray(0, bytes.length / 2));
    return {
      close: () => file.close(),
      sync: this.#watched(`sync ${kind}`, () => file.sync()),
      writeFile: this.#watched('writeFile', write, writeHalf),
    } as unknown as nodeFiles.FileHandle;
  }

  #watched(name: string, act: (...values: never[]) => Promise<unknown>, half?: (...values: never[]) => Promise<unknown>) {
    return async (...values: never[]): Promise<unknown> => {
      if (name === this.dieAt) this.dieBefore = Math.min(this.dieBefore, this.log.length);
      if (this.isDead) {
        if (this.log.length === this.dieBefore) await half?.(...values);
        throw new Dead(`died before ${name}`);
      }
      this.log.push(name);
      if (this.fail?.call === name) throw Object.assign(new Error(`${this.fail.code}: planted`), { code: this.fail.code });
      return act(...values);
    };
  }
}

/** Dies before the first call of `act`, before the second, and so on, until it gets through. */
async function dieAtEachCall(
  act: (target: DirectoryTarget) => Promise<unknown>,
  check: (target: DirectoryTarget, done: boolean) => Promise<void>,
) {
  for (let deaths = 0; ; deaths++) {
    const name = `archive-${deaths}`;
    const target = await open({ make: true }, name);
    await target.replace('HEAD', OLD, undefined);
    const faults = new FaultCalls();
    const dying = await open({ calls: faults.calls }, name);
    faults.dieBefore = faults.log.length + deaths;
    const done = await act(dying).then(
      () => true,
      (error: unknown) => {
        if (!faults.isDead) throw error;
        return false;
      },
    );
    await check(await open({}, name), done);
    if (done) {
      expect(deaths).toBeGreaterThan(5);
      return;
    }
  }
}

describe('a process that dies', () => {
  test('while it creates an object leaves the whole object or none', async () => {
    await dieAtEachCall(
      target => target.create('a/b/c', NEW),
      async (target, done) => {
        const found = await target.get('a/b/c');
        expect(found === undefined || found.bytes.equals(NEW)).toBe(true);
        if (done) expect(found).toBeDefined();
        expect(await keysOf(target)).toEqual(found === undefined ? ['HEAD'] : ['HEAD', 'a/b/c']);
        expect(await target.create('a/b/c', NEW)).toBe(found === undefined ? 'created' : 'exists');
      },
    );
  });

  test('while it replaces HEAD leaves the old one or the new one, and no lock', async () => {
    await dieAtEachCall(
      async target => target.replace('HEAD', NEW, (await target.get('HEAD'))!.tag),
      async (target, done) => {
        const { bytes, tag } = (await target.get('HEAD'))!;
        expect(bytes.equals(done || !bytes.equals(OLD) ? NEW : OLD)).toBe(true);
        expect(await target.replace('HEAD', OLD, tag)).not.toBe('changed');
        expect(await keysOf(target)).toEqual(['HEAD']);
      },
    );
  });

  test('while it removes objects leaves each there or gone', async () => {
    await dieAtEachCall(
      async target => {
        await target.create('a/b', NEW);
        await target.create('a/c', NEW);
        await target.remove(['a/b', 'a/c']);
      },
      async target => {
        for (const key of await keysOf(target)) expect((await target.get(key))!.bytes.equals(key === 'HEAD' ? OLD : NEW)).toBe(true);
        await target.remove(['a/b', 'a/c']);
        expect(await keysOf(target)).toEqual(['HEAD']);
      },
    );
  });

  test('leaves a spare file at most, which goes when it is a day old', async () => {
    const faults = new FaultCalls();
    await open({ make: true });
    const dying = await open({ calls: faults.calls });
    faults.dieAt = 'link';
    await expect(dying.create('a', NEW)).rejects.toThrow(/died/);
    const spares = join(root, 'archive/.spare');
    const [spare] = await readdir(spares);
    await open();
    expect(await readdir(spares)).toEqual([spare]);
    const dayAgo = Date.now() / 1000 - 86_401;
    await utimes(join(spares, spare!), dayAgo, dayAgo);
    await open();
    expect(await readdir(spares)).toEqual([]);
  });
});

test('bytes are synced before they get their name, and the name before the answer', async () => {
  await open({ make: true });
  const faults = new FaultCalls();
  const target = await open({ calls: faults.calls });
  await target.create('a/b', NEW);
  await target.replace('HEAD', NEW, undefined);
  const order = faults.log.filter(call => ['sync spare', 'sync directory', 'link', 'rename', 'mkdir'].includes(call));
  expect(order).toEqual([
    'mkdir',
    'sync directory',
    'sync spare',
    'link',
    'mkdir',
    'sync directory',
    'link',
    'sync directory',
    'sync spare',
    'rename',
    'sync directory',
  ]);
});

describe('a file system that fails', () => {
  test.each([
    ['writeFile', 'ENOSPC', 'STORAGE_FULL', /disk is full/],
    ['sync spare', 'EDQUOT', 'STORAGE_FULL', /disk is full/],
    ['link', 'ENOSPC', 'STORAGE_FULL', /disk is full/],
    ['open', 'EACCES', 'FORBIDDEN', /right to read and write/],
    ['open', 'EROFS', 'FORBIDDEN', /read-only/],
    ['sync directory', 'EIO', 'STORAGE_FAILED', /disk is sound/],
    ['stat', 'EIO', 'STORAGE_FAILED', /disk is sound/],
  ])('in %s with %s: creating throws %s… and leaves no file', async (call, code, expected, remedy) => {
    const faults = new FaultCalls();
    await open({ make: true });
    const target = await open({ calls: faults.calls });
    faults.fail = { call, code };
    await expect(target.create('a', NEW)).rejects.toMatchObject({ code: expected, message: expect.stringMatching(remedy) });
    faults.fail = undefined;
    expect(await readdir(join(root, 'archive/.spare')).catch(() => [])).toEqual([]);
  });

  test('is told with its code once', async () => {
    const faults = new FaultCalls();
    await open({ make: true });
    const target = await open({ calls: faults.calls });
    faults.fail = { call: 'writeFile', code: 'ENOSPC' };
    await expect(target.create('a', NEW)).rejects.toMatchObject({ message: expect.not.stringMatching(/ENOSPC.*ENOSPC/) });
  });

  test('because it knows no hard links: creating renames, under the lock', async () => {
    await open({ make: true });
    const clients = await Promise.all(
      Array.from({ length: 4 }, () => {
        const faults = new FaultCalls();
        faults.fail = { call: 'link', code: 'EPERM' };
        return open({ calls: faults.calls });
      }),
    );
    const outcomes = await Promise.all(clients.map((client, index) => client.create('a/b', Buffer.from([index]))));
    expect(outcomes.filter(outcome => outcome === 'created')).toHaveLength(1);
    expect([...(await clients[0]!.get('a/b'))!.bytes]).toEqual([outcomes.indexOf('created')]);
    expect(await readdir(join(root, 'archive/.spare'))).toEqual([]);
  });

  test('because it may only be read: reading goes, and the time is this machine’s', async () => {
    const writable = await open({ make: true });
    await writable.create('a', NEW);
    const faults = new FaultCalls();
    faults.fail = { call: 'open', code: 'EROFS' };
    const target = await open({ calls: faults.calls });
    expect((await target.get('a'))?.bytes.equals(NEW)).toBe(true);
    expect(await keysOf(target)).toEqual(['a']);
    expect(await target.now()).toBeGreaterThan(Date.now() - 60_000);
    await expect(target.replace('HEAD', NEW, undefined)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('what is no directory of an archive', () => {
  test('a missing one, a file, a place below a file, a link to nothing', async () => {
    await writeFile(join(root, 'file'), '');
    await symlink('nowhere', join(root, 'link'));
    for (const [name, problem] of [
      ['nothing', 'is missing'],
      ['file', 'is a file'],
      ['file/below', 'lies below a file'],
      ['link', 'is missing'],
    ] as const) {
      await expect(open({}, name), name).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining(problem) });
    }
    for (const name of ['file', 'file/below']) await expect(open({ make: true }, name), name).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('one of a file system that takes none', async () => {
    await expect(DirectoryTarget.open('/proc/evertree/archive', { ...host, make: true })).rejects.toMatchObject({
      code: expect.stringMatching(/STORAGE_FAILED|FORBIDDEN/),
    });
  });

  test('an empty mount point where an archive was: nothing is written into it', async () => {
    const target = await open({ make: true });
    await target.replace('HEAD', OLD, undefined);
    await rename(join(root, 'archive'), join(root, 'elsewhere'));
    await expect(target.create('a', NEW)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await mkdir(join(root, 'archive'));
    for (const write of [
      () => target.create('a', NEW),
      () => target.replace('HEAD', NEW, undefined),
      () => target.remove(['HEAD']),
      () => target.get('a'),
    ])
      await expect(write()).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('mounted') });
    expect(await readdir(join(root, 'archive'))).toEqual([]);
    await rm(join(root, 'archive'), { recursive: true });
    await nodeFiles.cp(join(root, 'elsewhere'), join(root, 'archive'), { recursive: true });
    expect(await target.create('a', NEW)).toBe('created');
  });
});

test('a lock that another process holds for long is named', async () => {
  let nowMs = 0;
  const clock = {
    ...systemClock,
    monotonic: () => nowMs,
    after: (delayMs: number, task: () => void) => {
      nowMs += delayMs * 1000;
      return systemClock.after(0, task);
    },
  };
  const target = await open({ make: true, clock });
  const lock = tryLock(join(root, 'archive/.lock'));
  await expect(target.replace('HEAD', NEW, undefined)).rejects.toMatchObject({
    code: 'DIRECTORY_IN_USE',
    message: expect.stringContaining('.lock'),
  });
  lock?.[Symbol.dispose]();
  expect(await target.replace('HEAD', NEW, undefined)).not.toBe('changed');
});

test('what others put into the directory is no object', async () => {
  const target = await open({ make: true });
  await target.create('a/b', NEW);
  for (const name of ['.DS_Store', 'a/.hidden', 'a/with blank', 'a/ä']) await writeFile(join(root, 'archive', name), 'x');
  await mkdir(join(root, 'archive/a/empty'));
  await symlink('b', join(root, 'archive/a/linked'));
  expect(await keysOf(target)).toEqual(['a/b', 'a/linked']);
});
