import { expect, it } from 'vitest';
import type { ChangeIndex, FoundChange, Touch } from './change-index.ts';
import type { HistoryView } from './history-view.ts';
import { changesInIndex } from './indexed-changes.ts';
import type { ChangeFilter } from './path-change.ts';

const COMMITS = 300;
const TOUCHES_EACH = 100;

it('holds no more than 4,096 touches and a commit, however many commits are asked for', async () => {
  let held = 0;
  let most = 0;
  const index: Pick<ChangeIndex, 'touches' | 'read'> = {
    async *touches() {
      for (let revision = COMMITS; revision > 0; revision--) {
        for (let operation = TOUCHES_EACH - 1; operation >= 0; operation--) {
          most = Math.max(most, ++held);
          yield [{ revision, operation, kind: 'delete', path: ['a', `${operation}`] } satisfies Touch];
        }
      }
    },
    async *read(touches) {
      held -= touches.length;
      for (const { revision } of touches.filter(({ operation }) => operation === 0)) {
        const ofCommit = touches.filter(touch => touch.revision === revision).map(touch => ({ touch, value: undefined }));
        yield { position: { epoch: 1, revision }, time: 1, author: undefined, message: undefined, touches: ofCommit } satisfies FoundChange;
      }
    },
  };
  const view = {
    clock: { monotonic: () => 0, soon: setImmediate },
    assertStands: () => undefined,
    exact: (revision: number) => ({ epoch: 1, epochId: '1'.repeat(16), revision }),
  };
  const filter: ChangeFilter = { path: ['a'], author: undefined, values: false, expected: COMMITS };
  const found = await Array.fromAsync(
    changesInIndex(view as unknown as HistoryView, index as ChangeIndex, filter, { after: 0, upTo: COMMITS }),
  );
  expect(found.map(({ changeSet }) => [changeSet.revision, changeSet.operations.length])).toEqual(
    Array.from({ length: COMMITS }, (_, n) => [COMMITS - n, TOUCHES_EACH]),
  );
  // A commit is known to be whole when the first touch of the next one comes.
  expect(most).toBeLessThanOrEqual(4_096 + TOUCHES_EACH + 1);
  expect(most).toBeGreaterThan(4_096 - TOUCHES_EACH);
});
