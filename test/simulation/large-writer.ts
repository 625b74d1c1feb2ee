import { Turn, isEvertreeError } from '@evertree/core';
import type { PreparedTransaction, Store, Transaction, TransactionSteps } from '@evertree/core';
import type { LargeTrap } from './frame-steps.ts';
import type { Ledger } from './ledger.ts';
import type { SimulatedSite } from './site.ts';

/** So often a commit is prepared whose preparation became void, as over HTTP; then it is made in one go. */
const PREPARATIONS = 3;
/** Different keys of what is written. */
const KEYS = 800;
/** Operations between two pauses. */
const STEP_OPERATIONS = 50;

interface MarkedWorld {
  mark(trap: LargeTrap): void;
}

/** A client whose commit is so large that its site makes it in steps, between which others commit. */
export async function writeLarge(
  site: SimulatedSite,
  count: number,
  secondaries: number,
  ledger: Ledger,
  world: MarkedWorld,
): Promise<void> {
  const { running } = site;
  if (running === undefined || running.process.isStalled) return;
  const { store } = running;
  const id = ledger.draw(site.name);
  let prepared: PreparedTransaction;
  try {
    store.transact(() => undefined);
    prepared = await prepare(store, changes(id, count), world);
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    return ledger.refuse(id);
  }
  if (site.running !== running) return ledger.refuse(id);
  ledger.write(site, secondaries, id, () => {
    store.cut();
    if (!store.isCurrent(prepared)) world.mark('a large commit is made in one go, as others commit meanwhile');
    return store.commitPrepared(prepared);
  });
}

async function prepare(store: Store, steps: TransactionSteps, world: MarkedWorld): Promise<PreparedTransaction> {
  const turn = new Turn(store.clock);
  for (let left = PREPARATIONS; ; left--) {
    turn.restart();
    const prepared = await turn.run(store.prepare('/large', steps));
    if (store.isCurrent(prepared) || left === 1) return prepared;
    world.mark('a large commit was prepared in vain, and again');
  }
}

/** What a commit of this id changes: leaves, arrays and objects are put, replaced and deleted. */
function changes(id: string, count: number): TransactionSteps {
  let salt = 0;
  for (const character of id) salt = (salt * 31 + character.charCodeAt(0)) >>> 0;
  return function* (tx) {
    tx.put(`/large/ids/${id}`, 1);
    if (salt % 5 === 0) tx.put('/large/content', {});
    if (salt % 3 === 0) tx.put('/large/content/k0', Object.fromEntries(Array.from({ length: count }, (_, index) => [`m${index}`, salt])));
    for (let index = 0; index < count; index++) {
      change(tx, `/large/content/k${(index * (1 + (salt % 3)) + salt) % KEYS}`, (salt + index) % 11, salt);
      if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
    }
  };
}

function change(tx: Transaction, path: string, kind: number, salt: number): void {
  if (kind === 0) tx.delete(path);
  else if (kind === 1) tx.put(path, [salt, { of: kind }]);
  else if (kind === 2) tx.put(path, { of: salt, list: [kind, salt % 2] });
  else tx.put(path, (salt % 4) + kind);
}
