// A primary inside a process of your own: three commits, the last of which waits for a secondary. Beside it, run
// embed-secondary.ts:
//   npx -y pnpm exec node examples/embed-primary.ts [DATA] [CONFIG]
import { formatPosition, openStore, startProducer } from 'evertree';

const [data = 'data/example-primary', config = 'configs/nettyProducer.json'] = process.argv.slice(2);

await using store = await openStore({ data });
await using producer = await startProducer(store, config);

// Synchronous, whole or nothing.
const first = store.transact(tx => {
  tx.put('/devices/r1', { mtu: 1500, up: false });
  tx.put('/devices/r2', { mtu: 1500, up: true });
  tx.delete('/devices/r3');
});
await first.durable;
console.log(`${formatPosition(first.position)} is on this machine's disk`);

store.merge('/devices/r1', { up: true });
const last = store.update<{ mtu: number }>('/devices/r1', draft => {
  draft.mtu = 9000;
});

console.log('waiting for a secondary …');
await last.acknowledged(1, { timeoutMs: 60_000 });
const [peer] = producer.peers;
console.log(`${formatPosition(last.position)} is durable at ${peer?.site ?? 'nobody'}`);
