import { defineConfig } from 'vitest/config';

/** The tests that stand beside the pure code that is mutated: quick, and without a server, a disk or a process. */
export default defineConfig({
  test: { include: ['packages/{core,journal,producer,consumer}/{src,test}/**/*.test.ts'], testTimeout: 10_000 },
});
