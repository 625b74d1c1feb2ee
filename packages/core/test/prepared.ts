import type { PreparedTransaction } from '../src/transactions/prepared-transaction.ts';
import type { Store } from '../src/store/store.ts';
import type { TransactionSteps } from '../src/transactions/transaction.ts';

/** Runs a transaction ahead. @param meanwhile is called in each pause */
export function prepared(
  store: Store,
  path: string,
  steps: TransactionSteps,
  meanwhile: () => void = () => undefined,
): PreparedTransaction {
  const preparation = store.prepare(path, steps);
  for (;;) {
    const step = preparation.next();
    if (step.done === true) return step.value;
    meanwhile();
  }
}
