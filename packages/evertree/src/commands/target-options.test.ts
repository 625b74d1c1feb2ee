import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  identitiesOf,
  openTargetOf,
  recipientsOf,
  targetArgument,
  type TargetOptions,
  withIdentity,
  withRecipients,
  withTarget,
} from './target-options.ts';

const RECIPIENT = 'age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evertree-target-options-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function optionsOf(...args: string[]): Record<string, unknown> {
  const command = withIdentity(withRecipients(withTarget(new Command().exitOverride())));
  return command.parse(args, { from: 'user' }).opts();
}

describe('TARGET', () => {
  test('is a directory, in full, or a bucket with a prefix', () => {
    expect(targetArgument('backups/a')).toBe(resolve('backups/a'));
    expect(targetArgument('s3://bucket/a')).toBe('s3://bucket/a');
  });

  test.each(['gs://bucket/a', 's3:/bucket/a', 's3:bucket', 'S3:/bucket/a', 'https://s3.example/bucket', '', ' '])('is not %j', text => {
    expect(() => targetArgument(text)).toThrow(/s3:\/\/bucket\/prefix/);
  });

  test.each(['s3://', 's3://A/b', 's3://ab', 's3://bucket/a b', 's3://bucket//a', 's3://bucket/../a'])('is not %j', async text => {
    await expect(openTargetOf(text, {})).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
  });

  test('that is a directory takes no option of S3', async () => {
    for (const options of [{ endpoint: 'http://s3' }, { region: 'x' }, { profile: 'x' }, { pathStyle: true }] satisfies TargetOptions[])
      await expect(openTargetOf(folder, options)).rejects.toThrow(/is a directory; leave it out/);
  });

  test('s3:/bucket is told to be none before a directory of that name is made', () => {
    expect(() => targetArgument('s3:/bucket/a')).toThrow('"s3:/bucket/a" is no target; write a directory, or s3://bucket/prefix');
  });

  test('that is a directory has to be there, unless it is to be made', async () => {
    const name = join(folder, 'archive');
    await expect(openTargetOf(name, {})).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('backup init') });
    const target = await openTargetOf(name, {}, { make: true });
    expect(target.name).toBe(name);
  });
});

describe('options', () => {
  test('are read', () => {
    expect(
      optionsOf(
        '--endpoint',
        'https://s3.example:9000',
        '--region',
        'r',
        '--profile',
        'p',
        '--path-style',
        '--recipients',
        'a',
        'b',
        '--identity',
        'c',
      ),
    ).toEqual({
      endpoint: 'https://s3.example:9000',
      region: 'r',
      profile: 'p',
      pathStyle: true,
      recipients: ['a', 'b'],
      identity: ['c'],
    });
  });

  test.each(['s3.example', 'ftp://s3.example', 'https://user:secret@s3.example', 'https://s3.example?x=1'])(
    '--endpoint is not %j',
    text => {
      expect(() => optionsOf('--endpoint', text)).toThrow(/is no address of a service/);
    },
  );
});

describe('keys', () => {
  test('of recipients are read from files', async () => {
    writeFileSync(join(folder, 'recipients'), `# ours\n${RECIPIENT}\n`);
    expect((await recipientsOf({ recipients: [join(folder, 'recipients')] }))?.hashes).toHaveLength(1);
    expect(await recipientsOf({})).toBeUndefined();
    expect(await identitiesOf({})).toBeUndefined();
  });

  test('that can’t be read are named', async () => {
    await expect(recipientsOf({ recipients: [join(folder, 'nothing')] })).rejects.toThrow(
      /file of recipients .*nothing can't be read: .*age-keygen -y identity.txt/,
    );
    writeFileSync(join(folder, 'large'), Buffer.alloc(64 * 1024 + 1));
    await expect(recipientsOf({ recipients: [join(folder, 'large')] })).rejects.toThrow(/at most 65536 are read/);
    writeFileSync(join(folder, 'identity'), RECIPIENT);
    chmodSync(join(folder, 'identity'), 0o600);
    await expect(identitiesOf({ identity: [join(folder, 'identity')] })).rejects.toThrow(/a recipient, which only encrypts/);
    await expect(identitiesOf({ identity: [join(folder, 'identity')] })).rejects.toThrow(`${join(folder, 'identity')}: line 1`);
  });
});
