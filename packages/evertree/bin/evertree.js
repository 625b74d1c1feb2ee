#!/usr/bin/env node
// Any Node from 18 on must be able to parse this file: the rest of the program is a syntax error before 24.
const oldest = 24;

if (Number(process.versions.node.split('.')[0]) < oldest) {
  process.stderr.write(
    `evertree needs Node ${oldest} or newer, and this is Node ${process.versions.node} (${process.execPath}).\n` +
      `In a clone of the repository the install brings its own Node: run \`npx -y pnpm install\`, mend what it reports,\n` +
      `and start again. Elsewhere install Node ${oldest} from https://nodejs.org or with your version manager.\n`,
  );
  process.exitCode = 2;
} else {
  const { keepCompiledCode } = await import('./compile-cache.js');
  keepCompiledCode();
  await import('#program');
}
