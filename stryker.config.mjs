// Mutation testing of the pure rooms: `pnpm mutate`, not in CI. The report is .cache/mutation.html.
export default {
  testRunner: 'vitest',
  // Without `related`: the packages meet each other through node_modules, which a list of related files does not
  // follow.
  vitest: { configFile: 'scripts/mutation/vitest.config.ts', related: false },
  plugins: ['@stryker-mutator/vitest-runner', './scripts/mutation/prose.ts'],
  ignorers: ['prose'],
  mutate: [
    'packages/consumer/src/{verdict,admission,recent-frames}.ts',
    'packages/producer/src/{decision,progress,inflight}.ts',
    'packages/journal/src/retention/retention.ts',
    'packages/core/src/{lineage,position}.ts',
    'packages/core/src/greeting/{greeting,hello}.ts',
    'packages/core/src/frames/{frame,frame-writer,binary-reader,binary-writer}.ts',
    'packages/core/src/tree/digest.ts',
  ],
  reporters: ['clear-text', 'html'],
  htmlReporter: { fileName: '.cache/mutation.html' },
  concurrency: 2,
  ignoreStatic: true,
  tempDirName: '.cache/stryker',
  // A file that is not there: Stryker would rewrite a tsconfig with TypeScript's old API, which TypeScript 7 does not
  // have.
  tsconfigFile: 'scripts/mutation/no-tsconfig.json',
};
