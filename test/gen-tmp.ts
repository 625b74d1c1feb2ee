import { openStore } from 'evertree';
const store = await openStore({ data: process.argv[2]!, site: 'gen', journal: { segmentBytes: 16 * 1024 * 1024 } as never });
const n = Number(process.argv[3]);
for (let i = 0; i < n; i++) {
  store.put(['d', String(((i * 7919) % 100000) % 317), String((i * 7919) % 100000)], i);
  if (i % 200 === 199) {
    await new Promise(r => setImmediate(r));
  }
  if (i % 200000 === 199999) {
    await store.flush();
    await store.saveSnapshot();
  }
}
await store.flush();
await store.close();
