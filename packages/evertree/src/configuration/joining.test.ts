import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isEvertreeError } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { readPrimaryConfiguration } from './reading.ts';

const netty = (port: number, more: object = {}) => ({ 'netty-connection': { 'consumer-address': 'far', 'consumer-port': port }, ...more });
const kafka = (topic: string, more: object = {}) => ({
  'kafka-connection': { 'kafka-host': 'broker', 'kafka-port': 9092 },
  'kafka-messaging': { topic },
  'kafka-producer-properties': {},
  ...more,
});

function problemsOf(...sources: Record<string, unknown>[]): string[] {
  try {
    readPrimaryConfiguration(sources);
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('several files for one primary', () => {
  test('kinds may be mixed: each file adds a way to secondaries', () => {
    const { wires, kind } = readPrimaryConfiguration([kafka('a'), netty(1), netty(2)]);
    expect(kind).toBe('primary');
    expect(wires.map(wire => wire.kind)).toEqual(['kafka-producer', 'netty-producer', 'netty-producer']);
  });

  test('what concerns the site may stand in one of them, key by key, or agree', () => {
    const acknowledgement = { secondaries: 1 };
    const joined = readPrimaryConfiguration([
      kafka('a', { limits: { 'pending-bytes': 65536 }, journal: { encoding: 'json' } }),
      netty(1, { limits: { 'pending-bytes': 65536, 'frame-bytes': 4096 }, acknowledgement }),
    ]);
    expect(joined.limits).toEqual({ pendingBytes: 65536, frameBytes: 4096 });
    expect(joined.journal).toEqual({ encoding: 'json' });
    expect(joined.acknowledgement).toMatchObject(acknowledgement);
  });

  test.each<[string, object, object, string]>([
    [
      'limits',
      { limits: { 'frame-bytes': 2048 } },
      { limits: { 'frame-bytes': 4096 } },
      'configuration 2: limits.frame-bytes differs from that in configuration 1 (4096, and there 2048); it concerns the whole site: keep one, or let them agree',
    ],
    [
      'journal',
      { journal: { encoding: 'json' } },
      { journal: { encoding: 'binary' } },
      'configuration 2: journal.encoding differs from that in configuration 1 ("binary", and there "json"); it concerns the whole site: keep one, or let them agree',
    ],
    [
      'acknowledgement',
      { acknowledgement: { secondaries: 1 } },
      { acknowledgement: { secondaries: 2 } },
      'configuration 2: acknowledgement differs from that in configuration 1',
    ],
  ])('%s that differ are told with both files and the key', (_name, one, two, expected) => {
    expect(problemsOf(kafka('a', one), netty(1, two)).join('\n')).toContain(expected);
  });

  test('tokens for HTTP that differ are reported, and not shown', () => {
    const folder = mkdtempSync(join(tmpdir(), 'evertree-joining-'));
    const auth = (token: string) => {
      const file = join(folder, token);
      writeFileSync(file, token);
      return { auth: { 'token-file': file } };
    };
    const [problem, ...others] = problemsOf(netty(1, auth('correct-horse')), netty(2, auth('battery-staple')));
    rmSync(folder, { recursive: true });
    expect(others).toEqual([]);
    expect(problem).toContain('configuration 2: http.auth differs from that in configuration 1; it concerns the whole site');
    expect(problem).toContain('give all files the same "http"');
    expect(problem).not.toMatch(/correct-horse|battery-staple/);
  });

  test('one token and a list of them, side by side, are one "auth"', () => {
    const folder = mkdtempSync(join(tmpdir(), 'evertree-joining-'));
    for (const name of ['site', 'reader']) writeFileSync(join(folder, name), `secret-of-${name}`);
    const one = { 'token-file': join(folder, 'site') };
    const tokens = [{ name: 'reader', 'token-file': join(folder, 'reader'), rights: ['read'] }];
    const both = { auth: { ...one, tokens } };
    const { http } = readPrimaryConfiguration([netty(1, both), netty(2, both)]);
    const differing = problemsOf(netty(1, { auth: one }), netty(2, both));
    rmSync(folder, { recursive: true });
    expect(http).toMatchObject({ token: 'secret-of-site', tokens: [{ name: 'reader', secret: 'secret-of-reader' }] });
    expect(differing).toEqual([expect.stringContaining('configuration 2: http.auth differs from that in configuration 1')]);
  });

  test('a secondary or a topic that two files name', () => {
    expect(problemsOf(netty(1), netty(2), netty(1))).toEqual([
      'configuration 3: netty-connection names far:1 again, as configuration 1 does; keep one of them',
    ]);
    expect(problemsOf(kafka('a'), kafka('a'))).toEqual([
      'configuration 2: kafka-messaging.topic names the topic a at broker:9092 again, as configuration 1 does; keep one of them',
    ]);
    expect(problemsOf(kafka('a'), kafka('b'))).toEqual([]);
  });

  test('the problems of all files are reported at once', () => {
    expect(problemsOf(kafka('/'), netty(0))).toHaveLength(2);
  });

  test('without any file', () => {
    expect(problemsOf()).toEqual(['configuration: is an empty list; name one file at least']);
  });
});
