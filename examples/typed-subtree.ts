// A subtree with a type: a zod schema checks the values that are written to it, and types the values that are read.
//   npx -y pnpm exec node examples/typed-subtree.ts
import { isEvertreeError, openStore } from 'evertree';
import { z } from 'zod';

const Devices = z.record(z.string(), z.strictObject({ mtu: z.int().min(68).max(9216), up: z.boolean() }));

await using store = await openStore({ data: 'memory' });
store.guard('/devices', Devices.optional());

store.put('/devices/r1', { mtu: 1500, up: true });
try {
  store.transact(tx => {
    tx.put('/log', 'raised');
    tx.put('/devices/r1/mtu', 'large');
  });
} catch (error) {
  if (!isEvertreeError(error, 'GUARD_FAILED')) throw error;
  console.log(`refused: ${error.message}`);
}

// Nothing of a refused transaction is there.
console.log('log:', store.get('/log'));
const devices = Devices.parse(store.get('/devices'));
console.log('mtu:', devices['r1']?.mtu.toFixed());
