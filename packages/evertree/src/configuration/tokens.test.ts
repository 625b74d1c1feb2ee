import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isEvertreeError } from '@evertree/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NettyProducerConfiguration } from './configuration.ts';
import { readConfiguration } from './reading.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evertree-tokens-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fileWith(text: string): string {
  const file = join(folder, 'site.json');
  writeFileSync(file, text);
  return file;
}

/** The lines of the error. */
function problemsWith(text: string): string[] {
  try {
    readConfiguration(fileWith(text));
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return error.message.split('\n');
    throw error;
  }
  return [];
}

const listening = (auth: object) => JSON.stringify({ 'netty-consumer': { 'listening-port': 1 }, auth });
const dialling = (auth: object, own?: object) =>
  JSON.stringify({ 'netty-connection': [{ 'consumer-address': 'b', 'consumer-port': 1, ...own }], auth });
const shown = (text: string) => (readConfiguration(fileWith(text)) as NettyProducerConfiguration).connections[0]?.token;

describe('a list of tokens', () => {
  const READER = { name: 'reader', 'token-file': 'reader', rights: ['read'] };
  const FEEDER = { name: 'feeder', 'token-file': 'feeder', rights: ['replicate', 'admin', 'replicate'] };
  beforeAll(() => {
    for (const name of ['reader', 'feeder', 'all']) writeFileSync(join(folder, name), `secret-of-${name}\n`);
    writeFileSync(join(folder, 'twin'), 'secret-of-reader\n');
  });

  test('lets each in with its rights, at the wire and over HTTP', () => {
    const tokens = [
      { name: 'reader', secret: 'secret-of-reader', rights: ['read'] },
      { name: 'feeder', secret: 'secret-of-feeder', rights: ['replicate', 'admin'] },
    ];
    const read = readConfiguration(fileWith(listening({ tokens: [READER, FEEDER] })));
    expect(read).toMatchObject({ tokens, http: { tokens } });
    expect(read).not.toHaveProperty('token');
    const both = readConfiguration(fileWith(listening({ 'token-file': 'all', tokens: [READER] })));
    expect(both).toMatchObject({ token: 'secret-of-all', tokens: [tokens[0]], http: { token: 'secret-of-all', tokens: [tokens[0]] } });
  });

  test('gives a primary the one to show that has all rights, or else the first that may replicate', () => {
    expect(shown(dialling({ tokens: [READER, FEEDER] }))).toBe('secret-of-feeder');
    expect(shown(dialling({ 'token-file': 'all', tokens: [READER, FEEDER] }))).toBe('secret-of-all');
    expect(shown(dialling({ tokens: [READER] }, { auth: { 'token-file': 'all' } }))).toBe('secret-of-all');
  });

  test.each([
    ['no token at all', {}, /auth names no token; write "token-file": "…", or "tokens"/],
    ['an empty list', { tokens: [] }, /auth\.tokens is an array; write an array of 1 to 256 objects/],
    [
      'an entry without rights',
      { tokens: [FEEDER, { name: 'a', 'token-file': 'reader' }] },
      /auth\.tokens\.1\.rights is missing; it is an array of "read", "write", "admin", "replicate"/,
    ],
    [
      'an entry with an empty list of rights',
      { tokens: [FEEDER, { ...READER, rights: [] }] },
      /auth\.tokens\.1\.rights is an array; write an array of "read"/,
    ],
    [
      'an unknown right',
      { tokens: [FEEDER, { ...READER, rights: ['raed'] }] },
      /auth\.tokens\.1\.rights\.0 is "raed"; write one of "read", "write", "admin", "replicate"/,
    ],
    [
      'an unknown key',
      { tokens: [FEEDER, { ...READER, right: ['read'] }] },
      /auth\.tokens\.1\.right is not known; did you mean "rights"\?/,
    ],
    [
      'one name twice',
      { tokens: [FEEDER, { ...READER, name: 'feeder' }] },
      /auth\.tokens\.1\.name is "feeder" again; history calls authors by these names/,
    ],
    [
      'one token under two names',
      { tokens: [FEEDER, READER, { ...READER, name: 'b', 'token-file': 'twin' }] },
      /auth\.tokens\.2\.token-file names a file with the same token as another one/,
    ],
    [
      'one token twice, with all rights and without',
      { 'token-file': 'reader', tokens: [READER] },
      /auth\.token-file names a file with the same token as another one/,
    ],
    [
      'a token file that is missing',
      { tokens: [FEEDER, { ...READER, 'token-file': 'none' }] },
      /auth\.tokens\.1\.token-file names "none", which does not exist/,
    ],
    [
      'none that may replicate',
      { tokens: [READER] },
      /auth\.tokens has no token with the right "replicate", which the wire asks for; give one of them that right, or add/,
    ],
  ])('with %s is refused', (_, auth, expected) => {
    for (const problems of [problemsWith(listening(auth)), problemsWith(dialling(auth))]) {
      expect(problems).toEqual([expect.stringMatching(expected)]);
      expect(problems.join()).not.toContain('secret-of');
    }
  });

  test('needs no right to replicate where only HTTP asks for it', () => {
    expect(
      readConfiguration(fileWith(JSON.stringify({ 'netty-consumer': { 'listening-port': 1 }, http: { auth: { tokens: [READER] } } }))),
    ).toMatchObject({
      http: { tokens: [{ name: 'reader' }] },
    });
  });
});
