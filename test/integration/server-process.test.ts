import { expect, it } from 'vitest';
import { ServerProcess } from '../support/server-process.ts';

it('the log of a server that has ended has its reason, behind the stack traces of several threads, and its last line', async () => {
  const command = ['sh', '-c', 'echo reason; yes at | head -n 150; echo last'];
  const server = new ServerProcess({ name: 'writer', command, ownFolder: undefined });
  await server.ended();
  expect(server.log).toMatch(/^reason\n[^]*last\n$/);
});
