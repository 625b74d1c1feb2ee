import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeWholeFile } from './whole-file.ts';

describe('a file that is written whole or not at all', () => {
  let folder = '';
  const at = (name: string) => join(folder, name);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'evertree-whole-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('has all chunks, and takes the place of one that was there', async () => {
    await writeFile(at('tree.json'), 'before');
    await writeWholeFile(at('tree.json'), ['{"a":', Buffer.from('1'), '}']);
    expect(await readFile(at('tree.json'), 'utf8')).toBe('{"a":1}');
    expect(await readdir(folder)).toEqual(['tree.json']);
  });

  it('stays what it was if the chunks break off, and their error is passed on', async () => {
    await writeFile(at('tree.json'), 'before');
    const broken = new Error('the site was cut off');
    const chunks = (async function* () {
      yield '{"a":';
      // The bytes before it are on their way to the disk.
      await new Promise(setImmediate);
      throw broken;
    })();
    await expect(writeWholeFile(at('tree.json'), chunks)).rejects.toMatchObject({ cause: broken, details: { file: at('tree.json') } });
    expect(await readFile(at('tree.json'), 'utf8')).toBe('before');
    expect(await readdir(folder)).toEqual(['tree.json']);
  });

  it('is written where a symbolic link leads, and the link stays', async () => {
    await mkdir(at('disk'));
    await writeFile(at('disk/tree.json'), 'before');
    await symlink('disk/tree.json', at('tree.json'));
    await writeWholeFile(at('tree.json'), ['after']);
    expect(await readFile(at('disk/tree.json'), 'utf8')).toBe('after');
    expect((await readdir(folder, { withFileTypes: true })).map(entry => [entry.name, entry.isSymbolicLink()])).toEqual([
      ['disk', false],
      ['tree.json', true],
    ]);
  });

  it.each([
    ['a directory', () => folder, /is a directory; name a file/],
    ['a device', () => '/dev/null', /\/dev\/null is a device or a pipe; name a file/],
    ['in a directory that is not there', () => at('none/tree.json'), /none\/tree\.json can't be written: ENOENT/],
  ])('is refused by name: %s', async (_, file, message) => {
    await expect(writeWholeFile(file(), ['x'])).rejects.toMatchObject({ code: 'STORAGE_FAILED', message: expect.stringMatching(message) });
    expect(await readdir(folder)).toEqual([]);
  });
});
