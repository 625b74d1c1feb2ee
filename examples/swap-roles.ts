// Two sites in one process that swap roles, and swap them back, while a writer goes on where it is told to:
//   npx -y pnpm exec node examples/swap-roles.ts [DATA] [PORT]
import { formatPosition, isEvertreeError, openSite } from 'evertree';

const [data = 'data/example-swap', port = '9990'] = process.argv.slice(2);
const ports = { north: Number(port), south: Number(port) + 1 };

/** Each site has what it needs in either role: it dials the other as a primary, and listens as a secondary. */
function open(name: 'north' | 'south', role: 'primary' | 'secondary') {
  const other = name === 'north' ? ports.south : ports.north;
  return openSite({
    data: `${data}/${name}`,
    site: name,
    role,
    primary: { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': other, 'connection-retry-interval-ms': 50 } },
    standby: { 'netty-consumer': { 'listening-port': ports[name] } },
  });
}

await using south = await open('south', 'secondary');
await using north = await open('north', 'primary');
const sites = { north, south };

/** Writes at the site that leads: one that hands over says when it is decided who takes writes, and who does. */
async function write(path: string, value: unknown): Promise<void> {
  let site = north;
  for (;;) {
    const destination = await site.store.writable();
    if (destination.kind === 'elsewhere') {
      site = sites[destination.site as 'north' | 'south'];
      continue;
    }
    try {
      const commit = site.store.put(path, value);
      await commit.acknowledged(1, { timeoutMs: 60_000 });
      console.log(`${formatPosition(commit.position)} was written at ${site.name}`);
      return;
    } catch (error) {
      if (!isEvertreeError(error, 'SWITCHING')) throw error;
    }
  }
}

await write('/first', 1);
for (const [from, to] of [
  [north, south],
  [south, north],
] as const) {
  const { outcome, pauseMs } = await from.switchover({ to: to.name });
  console.log(`${from.name} → ${to.name}: ${outcome}${pauseMs === null ? '' : `, writers waited ${pauseMs.toFixed(1)} ms`}`);
  await write(`/led/by/${to.name}`, true);
}
