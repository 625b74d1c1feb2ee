import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './site-process.ts';

/** A folder with the two files of a pair, and ports that nobody listens on. */
export interface SiteFolder extends AsyncDisposable {
  readonly path: string;
  readonly wire: number;
  readonly primaryHttp: number;
  readonly secondaryHttp: number;
  /** Arguments of `evertree` for each role. */
  readonly primary: readonly string[];
  readonly secondary: readonly string[];
  write(name: string, content: unknown): Promise<string>;
}

export async function siteFolder(): Promise<SiteFolder> {
  const path = await mkdtemp(join(tmpdir(), 'evertree-sites-'));
  const [wire, primaryHttp, secondaryHttp] = [await freePort(), await freePort(), await freePort()];
  const write = async (name: string, content: unknown) => {
    await writeFile(join(path, name), typeof content === 'string' ? content : JSON.stringify(content));
    return join(path, name);
  };
  await write('producer.json', {
    'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': wire, 'connection-retry-interval-ms': 50 },
  });
  await write('consumer.json', { 'netty-consumer': { 'listening-port': wire, 'enable-server-auto-restart': false } });
  return {
    path,
    wire,
    primaryHttp,
    secondaryHttp,
    primary: ['primary', '--config', 'producer.json', '--data', 'a', '--http', `127.0.0.1:${primaryHttp}`],
    secondary: ['secondary', '--config', 'consumer.json', '--data', 'b', '--http', `127.0.0.1:${secondaryHttp}`],
    write,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
