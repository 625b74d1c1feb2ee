import { afterEach, describe, expect, test } from 'vitest';
import { type Running, run, start } from '../support/program.ts';
import { RoleProcesses, RoleWriter, put, switchover } from '../support/role-processes.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { until } from '../support/site-process.ts';

const LIMIT_MS = 20_000;

async function read(port: number, path: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/data${path}`);
  return response.ok ? response.json() : undefined;
}

describe('two processes that run', () => {
  let processes: RoleProcesses;
  afterEach(() => processes[Symbol.asyncDispose]());

  test('change roles and change them back under load, with no answered write lost and a truthful pause', async () => {
    processes = await RoleProcesses.start('north', 'south');
    const [north, south] = processes.sites as [RoleProcesses['sites'][0], RoleProcesses['sites'][0]];
    const writers = ['a', 'b', 'c'].map(name => new RoleWriter(processes, name));
    for (const [from, to] of [
      [north, south],
      [south, north],
      [north, south],
    ] as const) {
      await Promise.all(writers.map(writer => writer.more(50)));
      expect(await switchover(from, { to: to.site })).toMatchObject({
        status: 200,
        json: { outcome: 'done', from: from.site, to: to.site, pauseMs: expect.any(Number) },
      });
    }
    await Promise.all(writers.map(writer => writer.more(50)));
    await Promise.all(writers.map(writer => writer.stop()));
    await processes.following(south);
    for (const site of processes.sites) {
      for (const writer of writers) expect(await writer.lostAt(site)).toEqual([]);
    }
    // It hears a little later where north stands.
    await until('south knows that north has all', async () => (await south.status())?.peers[0]?.lagRevisions === 0, LIMIT_MS);
    expect((await south.status())?.peers).toMatchObject([{ site: 'north', state: 'replicate', lagRevisions: 0 }]);
  });

  test('take the command at the secondary, too, and start again in the roles that they have', async () => {
    processes = await RoleProcesses.start('north', 'south');
    const [north, south] = processes.sites as [RoleProcesses['sites'][0], RoleProcesses['sites'][0]];
    expect(await switchover(north)).toMatchObject({
      status: 409,
      json: { code: 'WRONG_ROLE', obstacles: [{ code: 'empty', text: expect.stringMatching(/nothing was committed/) }] },
    });
    expect((await put(north, '/before', true)).status).toBe(200);
    await processes.following(north);
    expect(await switchover(south, { to: 'south' })).toMatchObject({ status: 200, json: { outcome: 'done', to: 'south' } });
    await processes.following(south);
    await Promise.all([north.stop(), south.stop()]);
    await Promise.all([processes.restart(north), processes.restart(south)]);
    await processes.following(south);
    expect((await put(south, '/after', true)).status).toBe(200);
    await processes.following(south);
  });
});

describe("the ancestor's way: both are stopped, and each is started with the other's file", () => {
  let folder: SiteFolder;
  const running: Running[] = [];
  afterEach(async () => {
    for (const started of running.splice(0)) await started[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  async function site(args: readonly string[]): Promise<Running> {
    const started = start(args, folder.path);
    running.push(started);
    await started.printed('"event":"started"', 'stderr', LIMIT_MS);
    return started;
  }

  test('the former secondary leads with --promote and is refused without; the former primary follows', async () => {
    folder = await siteFolder();
    const [secondary, primary] = [await site(folder.secondary), await site(folder.primary)];
    await run(['put', '/a', '1', '--acknowledge', '1', '--url', `127.0.0.1:${folder.primaryHttp}`]);
    await until('the secondary has it', async () => (await read(folder.secondaryHttp, '/a')) === 1, LIMIT_MS);
    await primary.stop();
    await secondary.stop();

    const onB = ['primary', '--config', 'producer.json', '--data', 'b', '--http', `127.0.0.1:${folder.secondaryHttp}`];
    const refused = await run(onB, { cwd: folder.path });
    expect(refused).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/belongs to a secondary.*add --promote: commits that only its old primary has are then left behind/),
    });

    await site([...onB, '--promote']);
    await site(['secondary', '--config', 'consumer.json', '--data', 'a', '--http', `127.0.0.1:${folder.primaryHttp}`]);
    await run(['put', '/b', '2', '--acknowledge', '1', '--url', `127.0.0.1:${folder.secondaryHttp}`]);
    await until('the former primary has it', async () => (await read(folder.primaryHttp, '/b')) === 2, LIMIT_MS);
    expect(await read(folder.primaryHttp, '')).toEqual({ a: 1, b: 2 });
  });
});
