// Bundles what the packages publish: a process that starts then reads some ten files, not several hundred. Of each
// package, what its manifest exports goes into its lib/, with the other packages and all dependencies left outside. The
// program gets a bundle of its own, with what it uses of our packages in it: a command has nothing in it that it does
// not run. The declarations are those of `tsc`, in dist/.
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

interface Manifest {
  readonly exports: Readonly<Record<string, string>>;
  readonly imports?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly publishConfig: {
    readonly exports: Readonly<Record<string, { readonly default: string }>>;
    readonly imports?: Readonly<Record<string, string>>;
  };
}

/** Source files by the name of what is made of them, without `.js`. */
type Entries = Readonly<Record<string, string>>;

const packages = join(import.meta.dirname, '..', 'packages');
const rooms = readdirSync(packages);
const manifests = new Map(rooms.map(room => [room, readManifest(room)]));
const dependencies = rooms.flatMap(room => Object.entries(manifests.get(room)!.dependencies ?? {}));
/** Dependencies that are not ours. */
const foreign = [...new Set(dependencies.filter(([, range]) => !range.startsWith('workspace:')).map(([name]) => name))];

/** The threads. What begins one looks for its file beside its own. */
const WORKERS: Readonly<Record<string, string>> = {
  archive: 'archive/src/writing/archive-worker.ts',
  history: 'history/src/index/index-worker.ts',
};

for (const room of rooms) {
  const { exports, publishConfig } = manifests.get(room)!;
  const worker = WORKERS[room];
  const entries = Object.entries(exports).map(([name, source]) => [
    nameOf(publishConfig.exports[name]!.default),
    join(packages, room, source),
  ]);
  const threads = worker === undefined ? {} : workerEntry(worker);
  await bundle(join(packages, room, 'lib'), { ...Object.fromEntries(entries), ...threads }, [...foreign, '@evertree/*']);
}
const { imports, publishConfig } = manifests.get('evertree')!;
const program = { [nameOf(publishConfig.imports!['#program']!)]: join(packages, 'evertree', imports!['#program']!) };
const threads = Object.assign({}, ...Object.values(WORKERS).map(workerEntry)) as Entries;
await bundle(join(packages, 'evertree', 'lib', 'program'), { ...program, ...threads }, foreign);

function readManifest(room: string): Manifest {
  return JSON.parse(readFileSync(join(packages, room, 'package.json'), 'utf8')) as Manifest;
}

function nameOf(file: string): string {
  return basename(file, '.js');
}

function workerEntry(source: string): Entries {
  return { [basename(source, '.ts')]: join(packages, source) };
}

/** What several entries share, and what is loaded on demand, gets files of its own beside them. */
async function bundle(outdir: string, entryPoints: Entries, external: string[]): Promise<void> {
  rmSync(outdir, { recursive: true, force: true });
  await build({
    entryPoints,
    outdir,
    external,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    supported: { using: true },
    chunkNames: '[name]-[hash]',
    sourcemap: 'linked',
    logLevel: 'warning',
  });
}
