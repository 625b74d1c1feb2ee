import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

/** Refuses to load the client of S3, then opens an archive in a directory. */
const SCRIPT = `
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier.startsWith('@aws-sdk/')) throw new Error('loaded: ' + specifier);
      return next(specifier, context);
    },
  });
  await import('evertree');
  const { openTarget } = await import('@evertree/archive');
  const host = { clock: { now: Date.now, monotonic: Date.now }, random: { bytes: length => new Uint8Array(length) } };
  const target = await openTarget(process.argv[1], { ...host, make: true });
  console.log(await target.create('a', new Uint8Array(3)));
  console.log(String(await openTarget('s3://bucket', host).catch(error => error)));
`;

/** Refuses to load archives and their encryption, then opens a store, and looks into an archive. */
const STORE = `
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      if (/^(@evertree\\/archive|age-encryption)/.test(specifier)) throw new Error('loaded: ' + specifier);
      return next(specifier, context);
    },
  });
  const { listBackups, openStore } = await import('evertree');
  await using store = await openStore({ data: process.argv[1] });
  console.log(store.position.revision);
  console.log(String(await listBackups(process.argv[1]).catch(error => error)));
`;

test('what concerns archives is loaded by the first call that needs it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'evertree-loading-'));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', STORE, directory]);
    expect(stdout).toBe('0\nError: loaded: @evertree/archive\n');
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('the client of S3 is loaded for a bucket only: a start does not wait for it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'evertree-loading-'));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', SCRIPT, directory]);
    expect(stdout).toBe('created\nError: loaded: @aws-sdk/client-s3\n');
  } finally {
    await rm(directory, { recursive: true });
  }
});
