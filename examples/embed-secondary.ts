// A secondary inside a process of your own: it follows a primary and tells what changes. Start it before or after
// embed-primary.ts:
//   npx -y pnpm exec node examples/embed-secondary.ts [DATA] [CONFIG]
import { once } from 'node:events';
import { formatPosition, openStore, startConsumer } from 'evertree';

const [data = 'data/example-secondary', config = 'configs/nettyConsumer.json'] = process.argv.slice(2);

await using store = await openStore({ data });

// The first batch is the present state; then one comes for each commit, in order. What listen returns ends it when it
// is disposed.
store.listen('/devices/*/up', batch => {
  for (const { path, type, before, after } of batch.changes) {
    console.log(`${formatPosition(batch.position)} ${path}: ${type}, ${JSON.stringify(before)} → ${JSON.stringify(after)}`);
  }
});

// From now on this store takes changes from its primary only.
await using consumer = await startConsumer(store, config);
consumer.on('state', ({ state, primary }) => console.log(`${state}, primary: ${primary?.site ?? 'none yet'}`));
console.log(`${store.site} follows from ${formatPosition(store.position)}`);

await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
