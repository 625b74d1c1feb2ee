import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type BuildOptions, build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { REPOSITORY } from '../support/program.ts';

/** What README.md says a bundle of ES modules needs: the clients of WebSocket and Kafka are CommonJS. */
const BANNER = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;

const STORE = `
  import { openStore } from 'evertree';
  async function main() {
    await using store = await openStore({ data: process.argv[2] });
    await store.put('/a', 1).durable;
    console.log(store.get('/a'));
  }
  main();`;

const BOTH_WIRES = `
  import { openSite, openStore, startProducer } from 'evertree';
  async function main() {
    await using site = await openSite({ data: process.argv[2], primary: { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': 1 } } });
    await using store = await openStore({ data: 'memory' });
    await using kafka = await startProducer(store, { 'kafka-producer-properties': { 'bootstrap.servers': '127.0.0.1:1' } });
    console.log(site.producer.peers.length, kafka.peers.length);
  }
  main();`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-bundle-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Bundles a program, and gives what it prints where nothing but the bundle is. */
async function run(program: string, options: BuildOptions): Promise<string> {
  const outfile = join(folder, options.format === 'cjs' ? 'bundle.cjs' : 'bundle.mjs');
  const stdin = { contents: program, resolveDir: REPOSITORY, loader: 'ts' } as const;
  await build({ stdin, outfile, bundle: true, platform: 'node', target: 'node24', logLevel: 'error', ...options });
  const { stdout } = await promisify(execFile)(process.execPath, [outfile, join(folder, 'data')], { cwd: folder });
  return stdout;
}

describe('a bundle made with esbuild works', () => {
  test('of a store alone, without more', async () => {
    expect(await run(STORE, { format: 'esm' })).toBe('1\n');
  });

  test('as CommonJS, with both wires', async () => {
    expect(await run(BOTH_WIRES, { format: 'cjs' })).toBe('1 1\n');
  });

  test('as an ES module with both wires, where it is told what require is', async () => {
    expect(await run(BOTH_WIRES, { format: 'esm', banner: { js: BANNER } })).toBe('1 1\n');
  });
});
