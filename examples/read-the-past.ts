// Reads, compares and undoes in the history of a tree.
//   npx -y pnpm exec node examples/read-the-past.ts
import { openStore } from 'evertree';

await using store = await openStore({ data: 'memory' });
const loaded = store.put('/devices', { r1: { mtu: 1500 }, r2: { mtu: 1500 } }, { author: 'ada', message: 'first load' });
store.mark('before-upgrade');
store.put('/devices/r1/mtu', 9000, { author: 'bob', message: 'jumbo frames' });
store.delete('/devices/r2', { author: 'bob' });

// The tree as it was: pinned, until the block ends.
{
  using then = await store.at('before-upgrade');
  console.log('r2 had', then.get('/devices/r2'));
}

// What happened, newest first, and the moment before the mistake.
for await (const { author, message = '', operations } of store.history('/devices', { from: loaded.position })) {
  console.log(author, operations.map(({ kind, path }) => `${kind} /${path.join('/')}`).join(', '), message);
}
for await (const { path, before } of store.find({ path: '/devices', deleted: true })) {
  console.log(`/${path.join('/')} was there at ${before.epoch}-${before.revision}`);
}

// One new commit makes it what it was; the history keeps all of it.
const reversal = await store.revert('/devices', { to: 'before-upgrade' });
console.log('to be set back:', reversal.differences.map(({ path }) => `/${path.join('/')}`).join(', '));
await reversal.commit({ author: 'eve' });
for await (const { path, author, kind } of store.blame('/devices')) console.log(`/${path.join('/')} ${kind} by ${author}`);
