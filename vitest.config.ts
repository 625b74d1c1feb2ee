import { defineConfig } from 'vitest/config';

if (Number(process.versions.node.split('.')[0]) < 24) {
  throw new Error(
    `The tests need Node 24, and this is ${process.version}: run \`npx -y pnpm install\`, which brings one, and mend what it reports.`,
  );
}

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        // They start no process and change nothing that a process has once, so files share workers: that saves most of
        // their time.
        test: { name: 'units', include: ['packages/*/{src,test}/**/*.test.ts'], isolate: false },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: ['test/**/*.test.ts'],
          globalSetup: ['test/support/kafka/global-setup.ts', 'test/support/s3/global-setup.ts'],
        },
      },
    ],
    // Most tests wait for processes, disks and brokers: vitest's own choice of one file at a time on two cores takes twice as long.
    maxWorkers: 2,
    // Node's threads read TypeScript with WebAssembly, whose wrappers V8 compiles anew after some calls, and keeps for all
    // threads of a process. In one of 102 runs of a file with many threads that ended a process, `Check failed:
    // jit_page.has_value()` (see nodejs/node#64500). With this budget no wrapper is compiled anew.
    execArgv: ['--wasm-wrapper-tiering-budget=1000000000'],
    setupFiles: 'test/support/setup.ts',
    // A test that asserts nothing can't fail.
    expect: { requireAssertions: true },
    // A bound on what hangs, wide enough for real processes on a busy machine; no test asserts a time.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // .ci/run counts from the JSON.
    reporters: process.env['CI'] === undefined ? ['default'] : ['default', 'json'],
    outputFile: { json: '.cache/test-results.json' },
  },
});
