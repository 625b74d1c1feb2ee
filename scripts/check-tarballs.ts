// Builds and packs the packages, installs the tarballs with npm in an empty folder outside the workspace, and uses what
// came out as a stranger would: each package names what it imports, the types compile, the library loads, the program
// helps, and a pair of sites answers and replicates.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { build } from 'esbuild';
import { environment, installTarballs, installedProgram, run } from './tarballs.ts';

/** How long a site may take to start, and a change to arrive. */
const patienceMs = 30_000;
const pollMs = 50;

const workspace = join(import.meta.dirname, '..');
const outside = mkdtempSync(join(tmpdir(), 'evertree-tarballs-'));
const evertree = installedProgram(outside);
const sites: ChildProcess[] = [];

interface Manifest {
  readonly description?: string;
  readonly keywords?: readonly string[];
  readonly license?: string;
  readonly repository?: { readonly url?: string; readonly directory?: string };
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly imports?: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** The fields that a reader of the registry needs, and those that the package's resolution needs. */
function checkContents(): void {
  const { repository } = readManifest(workspace);
  const wrong = readdirSync(join(workspace, 'packages')).flatMap(room => {
    const { name } = readManifest(join(workspace, 'packages', room)) as { name: string };
    const folder = join(outside, 'node_modules', ...name.split('/'));
    const manifest = readManifest(folder);
    const problems = [
      ...['description', 'keywords', 'license'].filter(key => !(key in manifest)).map(key => `package.json has no ${key}`),
      ...['README.md', 'LICENSE'].filter(file => !existsSync(join(folder, file))).map(file => `${file} is missing`),
      ...targetsOf(manifest)
        .filter(target => !existsSync(join(folder, target)))
        .map(target => `${target} is named in package.json and missing`),
      ...Object.entries(manifest.dependencies ?? {})
        .filter(([, range]) => range.startsWith('workspace:'))
        .map(([dependency]) => `${dependency} is a dependency that only the workspace has`),
      ...readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter(file => /(?:^src\/|\.test\.|\.tsbuildinfo$|(?<!\.d)\.ts$)/.test(file))
        .map(file => `${file} should not be packed`),
    ];
    if (manifest.repository?.url !== repository?.url || manifest.repository?.directory !== `packages/${room}`)
      problems.push(`repository has to be that of the workspace, with the directory packages/${room}`);
    return problems.map(problem => `${name}: ${problem}`);
  });
  if (wrong.length > 0) throw new Error(`what is packed is not right:\n${wrong.join('\n')}`);
}

/**
 * What a package imports is a dependency of its own: Yarn's Plug'n'Play, pnpm and the like give it nothing else. Npm does,
 * so that the program starts here all the same. And all packages want the same versions: the program has ours in it.
 */
async function checkDependencies(): Promise<void> {
  const wrong: string[] = [];
  const ranges = new Map<string, string>();
  for (const room of readdirSync(join(workspace, 'packages'))) {
    const { name } = readManifest(join(workspace, 'packages', room)) as { name: string };
    const folder = join(outside, 'node_modules', ...name.split('/'));
    const { dependencies, peerDependencies } = readManifest(folder);
    const imported = await importedPackages(folder);
    if (imported.length === 0) throw new Error(`${name} seems to import nothing`);
    for (const [dependency, range] of Object.entries({ ...dependencies, ...peerDependencies })) {
      const other = ranges.get(dependency) ?? range;
      if (range !== other) wrong.push(`${name} wants ${dependency} ${range}, and another of our packages ${other}`);
      ranges.set(dependency, range);
    }
    wrong.push(
      ...imported
        .filter(each => each !== name && !(each in { ...dependencies, ...peerDependencies }))
        .map(each => `${name} imports ${each}, which is none of its dependencies`),
    );
  }
  if (wrong.length > 0) throw new Error(`what is packed is not right:\n${wrong.join('\n')}`);
}

/** The packages that the modules of an installed one import, at once or on demand. */
async function importedPackages(folder: string): Promise<string[]> {
  const modules = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.js'));
  const { metafile } = await build({
    entryPoints: modules.map(file => join(folder, file)),
    absWorkingDir: outside,
    outdir: outside,
    bundle: true,
    packages: 'external',
    external: ['#*'],
    format: 'esm',
    platform: 'node',
    write: false,
    metafile: true,
  });
  const paths = Object.values(metafile.inputs).flatMap(({ imports }) => imports.filter(each => each.external === true));
  const names = paths.map(({ path }) => /^(?:@[^/]+\/)?[^/]+/.exec(path)![0]);
  return [...new Set(names)].filter(name => !isBuiltin(name) && !name.startsWith('#'));
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** The files that a package's manifest leads to. */
function targetsOf({ exports = {}, imports = {}, bin = {} }: Manifest): string[] {
  const exported = Object.values(exports).flatMap(target => (typeof target === 'string' ? [target] : Object.values(target)));
  return [...exported, ...Object.values(imports), ...Object.values(bin)];
}

/** `skipLibCheck` is off: it would hide declarations that point at sources missing from the tarball. */
function checkTypes(): void {
  writeFileSync(
    join(outside, 'use.ts'),
    `import { openStore } from 'evertree';\nexport const store = await openStore({ data: 'memory' });\n`,
  );
  const options = {
    module: 'nodenext',
    target: 'es2024',
    lib: ['esnext'],
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(workspace, 'node_modules', '@types')],
  };
  writeFileSync(join(outside, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['use.ts'] }));
  run(join(workspace, 'node_modules', '.bin', 'tsc'), ['-p', outside], outside);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a listening socket without a port');
  return address.port;
}

function startSite(role: 'primary' | 'secondary', config: unknown, httpPort: number): void {
  const file = join(outside, `${role}.json`);
  writeFileSync(file, JSON.stringify(config));
  const args = [role, '--config', file, '--data', join(outside, role), '--http', `127.0.0.1:${httpPort}`];
  sites.push(spawn(evertree, args, { cwd: outside, env: environment, stdio: ['ignore', 'ignore', 'inherit'] }));
}

/** The body once the address answers 200 with one that fits. */
async function waitFor(url: string, fits: (body: string) => boolean): Promise<string> {
  const deadline = Date.now() + patienceMs;
  let last: unknown = 'nothing';
  while (Date.now() < deadline) {
    try {
      const response = await fetch(url);
      const body = await response.text();
      if (response.ok && fits(body)) return body;
      last = `${response.status} ${body}`;
    } catch (error) {
      last = error;
    }
    const ended = sites.find(site => site.exitCode !== null || site.signalCode !== null);
    if (ended !== undefined) throw new Error(`a site ended with ${ended.exitCode ?? ended.signalCode}: ${ended.spawnargs.join(' ')}`);
    await pause(pollMs);
  }
  throw new Error(`${url} did not answer as expected within ${patienceMs} ms; the last answer: ${String(last)}`);
}

async function replicateOnce(): Promise<void> {
  const [wire, primary, secondary] = [await freePort(), await freePort(), await freePort()];
  startSite('secondary', { 'netty-consumer': { 'listening-port': wire, 'enable-server-auto-restart': false } }, secondary);
  startSite(
    'primary',
    { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': wire, 'connection-retry-interval-ms': 100 } },
    primary,
  );
  for (const port of [primary, secondary]) await waitFor(`http://127.0.0.1:${port}/healthz`, () => true);
  run(evertree, ['put', '/packed', '"and installed"', '--url', `http://127.0.0.1:${primary}`], outside);
  await waitFor(`http://127.0.0.1:${secondary}/data/packed`, body => JSON.parse(body) === 'and installed');
}

async function stopSites(): Promise<void> {
  for (const site of sites) {
    if (site.exitCode !== null || site.signalCode !== null) continue;
    const ended = once(site, 'exit');
    site.kill('SIGTERM');
    const [status] = await ended;
    if (status !== 0) throw new Error(`a site ended with ${String(status)} after SIGTERM: ${site.spawnargs.join(' ')}`);
  }
}

try {
  const tarballs = installTarballs(outside);
  checkContents();
  await checkDependencies();
  checkTypes();
  run(evertree, ['--help'], outside);
  await replicateOnce();
  await stopSites();
  console.log(
    `${tarballs.length} tarballs installed; each names what it imports, the types compile, the program starts, a pair replicates.`,
  );
} finally {
  for (const site of sites) site.kill('SIGKILL');
  rmSync(outside, { recursive: true, force: true });
}
