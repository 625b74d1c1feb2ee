import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { soak } from '../../scripts/soak/run.ts';
import { SCENARIOS } from '../../scripts/soak/scenarios.ts';

/** Short runs with one seed each, so that the soak itself keeps working; `pnpm soak` runs longer. */
const SECONDS = 5;

test.for(['rivals', 'library'])('a short soak of %s breaks no law', { timeout: 180_000 }, async name => {
  const { faults, steps, writes, folder } = await soak({ scenario: SCENARIOS[name]!, seconds: SECONDS, seed: 1, step: () => undefined });
  expect(faults).toEqual([]);
  expect(steps).toBeGreaterThan(0);
  expect(writes.done).toBeGreaterThan(0);
  expect(existsSync(folder)).toBe(false);
});
