import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ended, type Running, run, start } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { until } from '../support/site-process.ts';

const LIMIT_MS = 20_000;

let folder: SiteFolder;
let sites: readonly Running[];

beforeAll(async () => {
  folder = await siteFolder();
  sites = [start([...folder.secondary, '--site', 'box-b'], folder.path), start([...folder.primary, '--site', 'box-a'], folder.path)];
  for (const site of sites) await site.printed('"event":"started"', 'stderr', LIMIT_MS);
});
afterAll(async () => {
  for (const site of sites) await site[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

function url(role: Role): string {
  return `http://127.0.0.1:${role === 'primary' ? folder.primaryHttp : folder.secondaryHttp}`;
}

type Role = 'primary' | 'secondary';

/** Runs a command at a site, in a zone of its own. */
function at(role: Role, args: readonly string[], input?: string): Promise<Ended> {
  const env = { EVERTREE_URL: url(role), TZ: 'Europe/Berlin' };
  return run(args, { cwd: folder.path, env, ...(input === undefined ? {} : { input }) });
}

/** What a command that succeeds prints. */
async function done(ended: Promise<Ended>): Promise<string> {
  const { status, stdout, stderr } = await ended;
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

async function json<T>(ended: Promise<Ended>): Promise<T> {
  return JSON.parse(await done(ended)) as T;
}

/** Writes at the primary, and tells the position of that commit. */
async function write(...args: readonly string[]): Promise<string> {
  return (await done(at('primary', args))).trim();
}

async function positionOf(role: Role): Promise<string> {
  return JSON.stringify(((await (await fetch(`${url(role)}/status`)).json()) as { position: unknown }).position);
}

/** Waits until the secondary has the primary's position. */
async function equal(): Promise<void> {
  await until('both are equal', async () => (await positionOf('primary')) === (await positionOf('secondary')), LIMIT_MS);
}

const LOCAL_TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0[12]:00`;

describe('questions about the past, at either site', () => {
  let loaded: string;
  let raised: string;
  let removed: string;
  beforeAll(async () => {
    loaded = await write(
      'put',
      '/devices',
      '{"r1":{"mtu":1500,"up":true},"r2":{"mtu":1500}}',
      '--author',
      'ada',
      '--message',
      'first load',
    );
    raised = await write('merge', '/devices/r1', '{"mtu":9000}', '--author', 'bob', '--message', 'jumbo frames');
    removed = await write('delete', '/devices/r2', '--author', 'bob');
    await equal();
  });

  test.each<Role>(['primary', 'secondary'])('get and export --at, at the %s', async role => {
    expect(await json(at(role, ['get', '/devices/r1', '--at', loaded]))).toEqual({ mtu: 1500, up: true });
    expect(await json(at(role, ['get', '/devices', '--at', raised, '--json']))).toEqual({ r1: { mtu: 9000, up: true }, r2: { mtu: 1500 } });
    expect(await done(at(role, ['export', '/devices', '--at', loaded]))).toBe('{"r1":{"mtu":1500,"up":true},"r2":{"mtu":1500}}\n');
    const present = await at(role, ['get', '/devices', '--at', '-0s']);
    expect(present).toMatchObject({ status: 0, stderr: expect.stringContaining(`${removed} of `) });
    expect(JSON.parse(present.stdout)).toEqual({ r1: { mtu: 9000, up: true } });
  });

  test.each<Role>(['primary', 'secondary'])('history and show, at the %s', async role => {
    const lines = (await done(at(role, ['history', '/devices/r1', '--values']))).split('\n');
    expect(lines).toEqual([
      expect.stringMatching(new RegExp(`^${raised}  ${LOCAL_TIME}  bob: jumbo frames$`)),
      '  put    /devices/r1/mtu  1500 → 9000',
      expect.stringMatching(new RegExp(`^${loaded}  ${LOCAL_TIME}  ada: first load$`)),
      '  put    /devices (above)  none → {"mtu":1500,"up":true}',
      '',
    ]);
    expect(await done(at(role, ['show', removed]))).toMatch(
      new RegExp(String.raw`^${removed}  ${LOCAL_TIME}  bob\n {2}delete /devices/r2 {2}\{"mtu":1500\} → none\n$`),
    );
    const answer = await json<object>(at(role, ['show', removed, '--json']));
    expect(answer).toEqual(await (await fetch(`${url(role)}/history/${removed}`)).json());
    expect(await json(at(role, ['history', '--author', 'ada', '--json']))).toMatchObject({
      changes: [{ author: 'ada', operations: [{ path: '/devices', kind: 'put' }] }],
      next: null,
    });
  });

  test('history pages through by itself, up to its limit, and says where the older ones begin', async () => {
    const { stdout, stderr } = await at('primary', ['history', '/devices', '--limit', '2']);
    expect(stdout.match(/^\S+ {2}/gm)?.map(line => line.trim())).toEqual([removed, raised]);
    expect(stderr).toBe(`older ones: --to ${loaded}\n`);
    expect(await done(at('primary', ['history', '/devices', '--to', loaded]))).toContain('ada: first load');
  });

  test('diff as text, and as a patch that can be applied', async () => {
    expect((await done(at('secondary', ['diff', loaded, removed, '/devices']))).split('\n')).toEqual([
      expect.stringMatching(new RegExp(`^--- ${loaded}  ${LOCAL_TIME}$`)),
      expect.stringMatching(new RegExp(`^[+]{3} ${removed}  ${LOCAL_TIME}$`)),
      '- /devices/r1/mtu  1500',
      '+ /devices/r1/mtu  9000',
      '- /devices/r2  {"mtu":1500}',
      '',
    ]);
    expect(await json(at('secondary', ['diff', removed, raised, '--json']))).toEqual([
      { op: 'add', path: '/devices/r2', value: { mtu: 1500 } },
    ]);
    expect(await at('primary', ['diff', removed, removed])).toMatchObject({
      status: 0,
      stdout: '',
      stderr: expect.stringContaining('nothing differs'),
    });
    // A time ago begins as an option does.
    expect(await at('primary', ['diff', '-0s', '-0ms'])).toMatchObject({ status: 0, stdout: '' });
    expect(await at('primary', ['diff', '-0s', '-0ms', '--jsno'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('"--jsno"'),
    });
  });

  test('blame in columns', async () => {
    expect((await done(at('secondary', ['blame', '/devices']))).split('\n')).toEqual([
      expect.stringMatching(new RegExp(`^ ${raised}  ${LOCAL_TIME}  bob  /devices/r1/mtu  jumbo frames$`)),
      expect.stringMatching(new RegExp(`^\\^${loaded}  ${LOCAL_TIME}  ada  /devices/r1/up   first load$`)),
      '',
    ]);
    expect(await json(at('primary', ['blame', '/devices/r1/mtu', '--json']))).toMatchObject({
      leaves: [{ path: '/devices/r1/mtu', author: 'bob', kind: 'put' }],
    });
  });

  test('find prints the moment before, and --at takes it', async () => {
    const text = await done(at('secondary', ['find', '/devices', '--deleted']));
    expect(text).toContain('  delete /devices/r2  {"mtu":1500} → none\n');
    const before = /the moment before: --at (\S+)/.exec(text)?.[1] ?? '';
    expect(await json(at('secondary', ['get', '/devices/r2', '--at', before]))).toEqual({ mtu: 1500 });
    expect(await json(at('secondary', ['find', '/devices', '--where', '= 9000', '--json']))).toMatchObject({
      findings: [{ path: '/devices/r1/mtu', change: { author: 'bob' } }],
    });
    expect(await done(at('secondary', ['find', '', '--changed-by', 'ada']))).toContain('first load');
  });

  test.each([
    [['get', '/devices', '--at', '-'], 2, '--at: "-" names no moment; write a position (4-1201)'],
    [['get', '/devices', '--at', 'nobody'], 1, 'NOT_FOUND'],
    [['get', '/devices', '--at', '1-100000'], 1, 'POSITION_MISMATCH'],
    [['get', '/devices', '--at', '9-1'], 3, 'HISTORY_MISMATCH'],
    [['show', 'now'], 2, '"now" is no position; write one such as 4-1201'],
    [['find', '/devices'], 2, 'nothing is looked for'],
    [['history', '--to', '-1s', '--follow'], 2, 'exclude each other'],
    [['history', '--limit', 'all'], 2, 'is no count'],
    [['watch', '/a', '--from', '!'], 2, '--from: "!" names no moment'],
    [['revert', '/devices'], 2, 'say what is to come back'],
    [['revert', '--to', '-1m'], 2, 'say what is to come back'],
    [['revert', '/devices', '--commit', '1-2'], 2, 'say what is to come back'],
  ])('%j is refused', async (args, status, message) => {
    expect(await at('primary', args)).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(message) });
  });
});

describe('what goes on', () => {
  test('history --follow begins with the newest, oldest first, and goes on through a restart without a gap', async () => {
    await write('put', '/followed', '0', '--author', 'zed');
    await write('put', '/followed', '1');
    await using following = start(['history', '/followed', '--follow', '--values', '--url', url('secondary')], folder.path);
    await following.printed('0 → 1');
    expect(following.stdout.indexOf('none → 0')).toBeLessThan(following.stdout.indexOf('0 → 1'));
    await write('put', '/followed', '2');
    await following.printed('1 → 2');
    const [secondary] = sites;
    await secondary!.stop('SIGTERM');
    await write('put', '/followed', '3');
    sites = [start([...folder.secondary, '--site', 'box-b'], folder.path), sites[1]!];
    await following.printed('2 → 3');
    await write('put', '/followed', '4');
    await following.printed('3 → 4');
    expect(following.stdout.match(/→ \d/g)).toEqual(['→ 0', '→ 1', '→ 2', '→ 3', '→ 4']);
  });

  test('watch --from prints the history first, then what happens', async () => {
    const begin = await write('put', '/watched', '0');
    await write('put', '/watched', '1', '--author', 'ada', '--message', 'why');
    await equal();
    await using watching = start(['watch', '/watched', '--from', begin, '--url', url('secondary')], folder.path);
    await watching.printed('put /watched 1');
    await write('put', '/watched', '2');
    await watching.printed('put /watched 2');
    expect(watching.stdout).toContain('ada: why');
    expect(watching.stdout).not.toContain('put /watched 0');
    expect(watching.stdout).not.toContain('state');
  });
});

describe('undoing', () => {
  let before: string;
  beforeAll(async () => {
    before = await write('put', '/plan', '{"a":1,"b":{"c":2}}');
    await write(
      'patch',
      '[{"op":"replace","path":"/plan/a","value":9},{"op":"remove","path":"/plan/b"},{"op":"add","path":"/plan/x","value":0}]',
    );
  });

  test('revert --to shows the difference, and makes one commit that brings a subtree back', async () => {
    const difference = ['- /plan/a  9', '+ /plan/a  1', '+ /plan/b  {"c":2}', '- /plan/x  0'].join('\n');
    const dry = await done(at('primary', ['revert', '/plan', '--to', before, '--dry-run']));
    expect(dry).toContain(difference);
    expect(await json(at('primary', ['get', '/plan']))).toEqual({ a: 9, x: 0 });
    const { status, stdout, stderr } = await at('primary', [
      'revert',
      '/plan',
      '--to',
      before,
      '--author',
      'eve',
      '--message',
      'as it was',
    ]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^\d+-\d+: 3 paths are as before\n$/) });
    expect(stderr).toContain(difference);
    expect(await json(at('primary', ['get', '/plan']))).toEqual({ a: 1, b: { c: 2 } });
    expect(await json(at('primary', ['history', '/plan', '--limit', '1', '--json']))).toMatchObject({
      changes: [{ author: 'eve', message: 'as it was' }],
    });
    expect(await done(at('primary', ['revert', '/plan', '--to', before]))).toBe('nothing differs; nothing was committed\n');
  });

  test('revert --commit undoes one commit; what was changed since is a conflict', async () => {
    await write('put', '/undo', '{"a":1,"b":1}');
    const mistake = await write('merge', '/undo', '{"a":2,"b":2}');
    const later = await write('put', '/undo/b', '3', '--author', 'ada');
    const refused = await at('primary', ['revert', '--commit', mistake]);
    expect(refused).toMatchObject({
      status: 3,
      stdout: '',
      stderr: expect.stringMatching(new RegExp(`conflict /undo/b was changed since, in ${later} of .* by ada`)),
    });
    expect(await json(at('primary', ['get', '/undo']))).toEqual({ a: 2, b: 3 });
    expect(await done(at('primary', ['revert', '--commit', mistake, '--conflicts', 'skip']))).toContain('1 path is as before');
    expect(await json(at('primary', ['get', '/undo']))).toEqual({ a: 1, b: 3 });
    expect(await done(at('primary', ['revert', '--commit', mistake, '--conflicts', 'overwrite']))).toContain('1 path is as before');
    expect(await json(at('primary', ['get', '/undo']))).toEqual({ a: 1, b: 1 });
  });

  test('what would leave nothing of the tree wants --yes', async () => {
    const tree = await json(at('primary', ['export']));
    expect(await at('primary', ['revert', '', '--to', '0-0'])).toMatchObject({ status: 2, stderr: expect.stringContaining('add --yes') });
    expect(await json(at('primary', ['export']))).toEqual(tree);
  });

  test('a secondary shows what a revert would change, refuses it, and --follow does it at the primary', async () => {
    await write('put', '/there', '1');
    const then = await write('put', '/there', '2');
    await write('put', '/there', '3');
    await equal();
    expect(await done(at('secondary', ['revert', '/there', '--to', then, '--dry-run']))).toContain('- /there  3\n+ /there  2');
    expect(await at('secondary', ['revert', '/there', '--to', then])).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('NOT_PRIMARY'),
    });
    expect(await done(at('secondary', ['revert', '/there', '--to', then, '--follow']))).toContain('1 path is as before');
    expect(await json(at('primary', ['get', '/there']))).toBe(2);
  });
});

describe('names of moments', () => {
  test('mark, marks and unmark; a mark is at every site', async () => {
    const first = await write('put', '/named', '1');
    const marking = await done(at('primary', ['mark', 'before-upgrade', '--message', 'release 7', '--author', 'ada']));
    expect(marking).toMatch(/^\d+-\d+: before-upgrade names \d+-\d+\n$/);
    await write('put', '/named', '2');
    expect(await done(at('primary', ['mark', 'first', '--at', first]))).toContain(`first names ${first}\n`);
    await equal();
    for (const role of ['primary', 'secondary'] as const) {
      expect(await json(at(role, ['get', '/named', '--at', 'before-upgrade']))).toBe(1);
      const lines = (await done(at(role, ['marks']))).split('\n');
      expect(lines[0]).toMatch(new RegExp(`^before-upgrade  \\S+ +marked ${LOCAL_TIME}  ada  release 7$`));
      expect(lines[1]).toMatch(new RegExp(`^first           ${first} +marked ${LOCAL_TIME}  -$`));
    }
    expect(await at('primary', ['mark', 'first'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('move it, or choose another name (--move moves it) (MARK_EXISTS)'),
    });
    expect((await at('primary', ['get', '/', '--at', 'frst'])).stderr).toMatch(
      /there is no mark "frst"; is it "first"\? "evertree marks" lists the marks\. A moment may also be a position \(4-1201\)/,
    );
    expect(await done(at('primary', ['mark', 'first', '--move']))).toContain(`; it named ${first} before`);
    expect(await at('secondary', ['get', '/named', '--at', 'before-upgrad'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('"before-upgrade"'),
    });
    expect(await at('secondary', ['mark', 'here'])).toMatchObject({ status: 3, stderr: expect.stringContaining('NOT_PRIMARY') });
    expect(await done(at('secondary', ['mark', 'here', '--follow']))).toContain('here names');
    expect(await done(at('primary', ['unmark', 'first']))).toContain('first is no mark any more');
    expect(await at('primary', ['unmark', 'first'])).toMatchObject({ status: 1, stderr: expect.stringContaining('NOT_FOUND') });
    expect(await json<{ marks: { name: string }[] }>(at('primary', ['marks', '--json']))).toMatchObject({
      marks: expect.arrayContaining([expect.objectContaining({ name: 'before-upgrade', reachable: true })]),
    });
  });
});
