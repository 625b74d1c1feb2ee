import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isEvertreeError } from '@evertree/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfiguration, readPrimaryConfiguration } from './reading.ts';

const ONE = 'age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg';
const TWO = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evertree-archive-section-'));
  file('both.txt', `# of the operators\n${TWO}\n\n${ONE}\r\n`);
  file('one.txt', ONE);
  file('identity.txt', '# public key: age1…\nAGE-SECRET-KEY-1QQQQ\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const TRANSPORTS: Readonly<Record<string, object>> = {
  'netty-producer': { 'netty-connection': { 'consumer-address': 'far', 'consumer-port': 9999 } },
  'netty-consumer': { 'netty-consumer': { 'listening-port': 9999 } },
  'kafka-producer': { 'kafka-connection': { 'kafka-host': 'broker', 'kafka-port': 9092 }, 'kafka-producer-properties': {} },
  'kafka-consumer': { 'kafka-connection': { 'kafka-host': 'broker', 'kafka-port': 9092 }, 'kafka-consumer-properties': {} },
};

function fileWith(archive: unknown, kind = 'netty-producer'): string {
  return file('site.json', JSON.stringify({ ...TRANSPORTS[kind], archive }, undefined, 2));
}

/** Without the places, which the tests of documents have. */
function problemsWith(archive: unknown): string[] {
  return problemsOf(() => readConfiguration(fileWith(archive)));
}

function problemsOf(read: () => unknown): string[] {
  try {
    read();
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return error.message.split('\n').map(line => line.replace(/^\S+: /, ''));
    throw error;
  }
  return [];
}

describe('the section archive', () => {
  test.each(Object.keys(TRANSPORTS))('stands in the file of a %s', kind => {
    expect(readConfiguration(fileWith({ target: 's3://bucket/site' }, kind)).archive).toEqual({ target: 's3://bucket/site' });
  });

  test('is empty where a file has none', () => {
    expect(readConfiguration(file('site.json', JSON.stringify(TRANSPORTS['netty-producer']))).archive).toEqual({});
  });

  test('every key of it', () => {
    const { archive } = readConfiguration(
      fileWith({
        target: 's3://bucket/site',
        every: '500ms',
        recipients: ['both.txt', 'one.txt'],
        'spool-max-bytes': 1048576,
        'image-every': '12h',
        endpoint: 'https://s3.example:9000',
        region: 'eu-west-1',
        profile: 'backup',
        'path-style': true,
        'catch-up-from': '../elsewhere',
        'identity-file': 'identity.txt',
      }),
    );
    expect(archive).toEqual({
      target: 's3://bucket/site',
      everyMs: 500,
      recipients: [ONE, TWO],
      spoolMaxBytes: 1048576,
      imageEveryMs: 43_200_000,
      endpoint: 'https://s3.example:9000',
      region: 'eu-west-1',
      profile: 'backup',
      pathStyle: true,
      catchUpFrom: join(folder, '../elsewhere'),
      identity: '# public key: age1…\nAGE-SECRET-KEY-1QQQQ\n',
    });
    expect(Object.isFrozen(archive)).toBe(true);
  });

  test('directories and files are relative to the file that names them', () => {
    const { archive } = readConfiguration(fileWith({ target: './archive', recipients: 'one.txt' }));
    expect(archive).toEqual({ target: join(folder, 'archive'), recipients: [ONE] });
  });

  test('catch-up-from may stand alone', () => {
    expect(readConfiguration(fileWith({ 'catch-up-from': 's3://bucket' })).archive).toEqual({ catchUpFrom: 's3://bucket' });
  });

  test.each<[string, object, string]>([
    ['a misspelt key', { target: 'x', recipient: 'one.txt' }, 'archive.recipient is not known; did you mean "recipients"?'],
    ['another one', { target: 'x', 'spool-bytes': 1 }, 'archive.spool-bytes is not known; did you mean "spool-max-bytes"?'],
    ['a time without unit', { target: 'x', every: '5' }, 'archive.every is "5"; write how often what is new goes into the archive: a time'],
    ['a number for a time', { target: 'x', every: 5 }, 'archive.every is 5; write how often what is new goes into the archive: a time'],
    ['too short a time', { target: 'x', every: '10ms' }, 'from 50ms to 1h, such as "500ms", "1s", "30m" or "24h"'],
    ['too long a time', { target: 'x', 'image-every': '366d' }, 'from 1m to 365d'],
    ['too small a spool', { target: 'x', 'spool-max-bytes': 1000 }, 'a whole number from 1048576 to 8796093022208'],
    ['another scheme', { target: 'gs://bucket' }, 'archive.target is "gs://bucket"; write where the history is kept: a directory'],
    ['a bucket with a bad name', { target: 's3://A_b/x' }, 'where the bucket has 3 to 63 lower-case letters'],
    ['no target', {}, 'archive names no archive; write "target": "…" to keep one, or "catch-up-from": "…" to read one'],
    ['recipients alone', { recipients: 'one.txt' }, 'archive.recipients says how an archive is written, and "target" is missing'],
    ['every beside catch-up-from', { 'catch-up-from': 'x', every: '1s' }, 'archive.every says how an archive is written'],
    [
      'an endpoint of a directory',
      { target: 'x', endpoint: 'http://s3' },
      'archive.endpoint concerns s3://bucket/prefix, and "x" is a directory',
    ],
    [
      'an endpoint that is none',
      { target: 's3://bucket', endpoint: 's3.example' },
      'archive.endpoint is "s3.example"; write where the S3 service is',
    ],
    ['an identity alone', { target: 'x', 'identity-file': 'identity.txt' }, 'opens the archive of "catch-up-from", which is missing'],
    ['no file of recipients', { target: 'x', recipients: 'none.txt' }, 'archive.recipients names "none.txt", which does not exist'],
    ['an empty list', { target: 'x', recipients: [] }, 'archive.recipients is an array; write whom the archive is encrypted for'],
    [
      'a file that is no identity',
      { 'catch-up-from': 'x', 'identity-file': 'one.txt' },
      'archive.identity-file names "one.txt", which has no identity',
    ],
    ['once what is no object', [], 'archive is an array; write an object with "target" or "catch-up-from"'],
  ])('refuses %s', (_name, archive, expected) => {
    const problems = problemsWith(archive);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });

  test('tells each wrong line of a file of recipients', () => {
    file('wrong.txt', `${ONE}\n# fine\nssh-ed25519 AAAAC3Nz\n${TWO.replace('ql3z', 'ql3y')}\nAGE-SECRET-KEY-1SECRET\nage1short\n`);
    const problems = problemsWith({ target: 'x', recipients: ['one.txt', 'wrong.txt'] });
    expect(problems).toEqual([
      expect.stringContaining('archive.recipients.1 names "wrong.txt", which has on line 3 "ssh-ed25519 AAAAC3Nz", which is no recipient'),
      expect.stringContaining('which has on line 4 "age1ql3y7hjy54pw3hyww5ayyfg7zq…", whose checksum is wrong'),
      expect.stringContaining('which has on line 5 an identity, which must not be at a site that archives'),
      expect.stringContaining('which has on line 6 "age1short", which is no recipient'),
    ]);
    expect(problems.join('\n')).not.toContain('SECRET-KEY-1SECRET');
  });

  test('a file of recipients without any', () => {
    file('empty.txt', '# none yet\n');
    expect(problemsWith({ target: 'x', recipients: 'empty.txt' })).toEqual([
      expect.stringContaining('names "empty.txt", which has no recipient; write one age1… a line'),
    ]);
  });

  test('says that an archive is not encrypted', () => {
    expect(readConfiguration(fileWith({ target: 'x' })).notes).toEqual([expect.stringContaining('archive.target is not encrypted')]);
    expect(readConfiguration(fileWith({ target: 'x', recipients: 'one.txt' })).notes).toEqual([]);
    expect(readConfiguration(fileWith({ target: 'x' }, 'kafka-consumer')).notes).toContainEqual(
      expect.stringContaining('archive.target is not encrypted'),
    );
  });

  test('warns of an identity that others can read, and of one beside a target', () => {
    chmodSync(file('open.txt', 'AGE-SECRET-KEY-1QQQQ'), 0o644);
    const { warnings } = readConfiguration(
      fileWith({ target: 'x', recipients: 'one.txt', 'catch-up-from': 'x', 'identity-file': 'open.txt' }, 'netty-consumer'),
    );
    expect(warnings).toEqual([
      expect.stringContaining('this machine can open an archive that it writes'),
      expect.stringContaining('archive.identity-file names "open.txt", which can be read by every user of this machine (mode 644)'),
    ]);
  });
});

function primary(name: string, port: number, archive: unknown): string {
  return file(name, JSON.stringify({ 'netty-connection': { 'consumer-address': 'far', 'consumer-port': port }, archive }));
}

describe('the archive of several files of a primary', () => {
  test('stands in one of them, or they agree', () => {
    const read = readPrimaryConfiguration([primary('a.json', 1, { target: 'x', recipients: 'both.txt' }), primary('b.json', 2, undefined)]);
    expect(read.archive).toEqual({ target: join(folder, 'x'), recipients: [ONE, TWO] });
    const both = [primary('a.json', 1, { target: 'x', every: '1s' }), primary('b.json', 2, { target: './x', every: '1000ms' })];
    expect(readPrimaryConfiguration(both).archive).toEqual({ target: join(folder, 'x'), everyMs: 1_000 });
  });

  test('names both files and the key where they differ, and no secret', () => {
    file('other.txt', 'AGE-SECRET-KEY-1PPPP');
    const sources = [
      primary('a.json', 1, { 'catch-up-from': 'x', 'identity-file': 'identity.txt' }),
      primary('b.json', 2, { 'catch-up-from': 'y', 'identity-file': 'other.txt' }),
    ];
    const [place, identity, ...others] = problemsOf(() => readPrimaryConfiguration(sources));
    expect(others).toEqual([]);
    expect(place).toContain(`archive.catch-up-from differs from that in ${join(folder, 'a.json')} ("${join(folder, 'y')}"`);
    expect(identity).toContain('archive.identity-file differs from that in');
    expect(identity).not.toContain('SECRET-KEY');
  });
});
