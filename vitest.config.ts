import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'packages/*/{src,test}/**/*.test.ts'],
    // Real processes on a busy machine: a bound on hanging, never a measure of speed.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    passWithNoTests: true,
  },
});
