// The packages as users get them: built, packed, and installed with npm in a folder outside the workspace.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

const workspace = join(import.meta.dirname, '..');

/** With it, the program's `#!/usr/bin/env node` finds the Node that runs this script. */
export const environment: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
};

/** What the command prints goes to stderr. @throws when it fails */
export function run(command: string, args: readonly string[], cwd: string): void {
  execFileSync(command, args, { cwd, env: environment, stdio: ['ignore', process.stderr, process.stderr] });
}

/**
 * Builds the packages anew, packs them into a folder, and installs the tarballs there.
 * @returns the tarballs' names
 */
export function installTarballs(folder: string): string[] {
  const tarballs = buildAndPack(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'outside', private: true, type: 'module' }));
  const quietly = ['--no-audit', '--no-fund', '--loglevel', 'error', '--prefer-offline'];
  run('npm', ['install', ...quietly, ...tarballs.map(name => `./${name}`)], folder);
  return tarballs;
}

/** The program that is installed in a folder. */
export function installedProgram(folder: string): string {
  return join(folder, 'node_modules', '.bin', 'evertree');
}

function buildAndPack(folder: string): string[] {
  for (const room of readdirSync(join(workspace, 'packages')))
    rmSync(join(workspace, 'packages', room, 'dist'), { recursive: true, force: true });
  run('pnpm', ['--silent', 'build'], workspace);
  run('pnpm', ['--silent', '--recursive', '--filter', './packages/*', 'pack', '--pack-destination', folder], workspace);
  return readdirSync(folder).filter(name => name.endsWith('.tgz'));
}
