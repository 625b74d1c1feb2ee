import { afterEach, expect, test } from 'vitest';
import type { HttpAnswer } from '../support/role-processes.ts';
import { RoleProcesses, promote, put, send } from '../support/role-processes.ts';
import { run } from '../support/program.ts';
import { type SiteProcess, until } from '../support/site-process.ts';

const LIMIT_MS = 20_000;

let processes: RoleProcesses;
afterEach(() => processes[Symbol.asyncDispose]());

interface Fenced {
  readonly fencedBy: { readonly begun: boolean } | null;
}

async function isPromised(site: SiteProcess): Promise<boolean> {
  const { json } = await send<Fenced | undefined>(site, 'GET', '/status');
  return json?.fencedBy?.begun === false;
}

/** How a refused write ends. */
function remedy({ site }: SiteProcess): string {
  return `If that promotion has ended and no site takes writes, promote one, ${site} for example`;
}

function wasAsked(site: SiteProcess): boolean {
  return site.log.some(({ event }) => event === 'promise-asked');
}

async function refusal(site: SiteProcess): Promise<string> {
  const { status, json } = (await put(site, '/b', 1)) as HttpAnswer<{ readonly detail: string }>;
  expect(status).toBe(409);
  return json.detail;
}

/**
 * `west` answers nothing, so that the promoter waits a second for its hello. In that second `east` is stopped, so that it waits
 * another second for that one's promise. `north`, the primary, has promised then.
 */
async function killWhileItRaises(promoter: SiteProcess, [north, east, west]: readonly [SiteProcess, SiteProcess, SiteProcess]) {
  west.signal('SIGSTOP');
  const command = run(['promote', '--force', '--url', promoter.url]);
  await until('both were asked where they stand', async () => wasAsked(north) && wasAsked(east), LIMIT_MS);
  east.signal('SIGSTOP');
  await until('the primary has promised', () => isPromised(north), LIMIT_MS);
  await promoter.kill();
  east.signal('SIGCONT');
  west.signal('SIGCONT');
  return command;
}

test(
  'a promoter that is killed while it raises leaves sites that say why no site takes writes, and how one does again',
  { timeout: 180_000 },
  async () => {
    processes = await RoleProcesses.start('north', 'south', 'east', 'west');
    const [north, south, east, west] = processes.sites as [SiteProcess, SiteProcess, SiteProcess, SiteProcess];
    expect((await put(north, '/a', 1)).status).toBe(200);
    await processes.following(north);

    const { status, stderr } = await killWhileItRaises(south, [north, east, west]);
    expect(status).toBe(1);
    expect(stderr).toContain('other sites may have promised that epoch, and take no writes until one is promoted');
    await until('the other one has promised, too', () => isPromised(east), LIMIT_MS);

    expect(await refusal(north)).toContain(remedy(north));
    expect(await refusal(east)).toContain(remedy(east));
    expect(north.log).toContainEqual(expect.objectContaining({ level: 'warn', event: 'epoch-promised' }));
    expect((await run(['status', '--url', north.url])).stdout).toContain('if no site leads, promote one');
    // It promised nothing itself: the primary's farewell tells it.
    await until('the third one has heard of it', async () => (await west.status())?.consumer?.state === 'offline', LIMIT_MS);
    expect((await run(['status', '--url', west.url])).stdout).toMatch(/north takes no writes: it promised epoch 2 to another site/);
    const swap = await run(['switchover', '--dry-run', '--url', north.url]);
    expect(swap.stdout).toContain(remedy(north));
    expect(swap.stdout).not.toContain('no secondary was ever linked');
    expect((await send<{ reason: string }>(north, 'GET', '/readyz')).json.reason).toBe(
      'no writes are taken here (fenced): the status says why',
    );

    // The promoter that comes back knows of its own promise only, and the remedy helps, with it and without.
    await processes.restart(south);
    expect(await refusal(south)).toContain(remedy(south));
    expect((await promote(north)).status).toBe(200);
    expect((await put(north, '/b', 2)).status).toBe(200);
    await processes.following(north);
  },
);
