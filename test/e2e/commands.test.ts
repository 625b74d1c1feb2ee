import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
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

function at(role: 'primary' | 'secondary'): string[] {
  return ['--url', `http://127.0.0.1:${role === 'primary' ? folder.primaryHttp : folder.secondaryHttp}`];
}

function atPrimary(args: readonly string[], input?: string): Promise<Ended> {
  return run([...args, ...at('primary')], { cwd: folder.path, ...(input === undefined ? {} : { input }) });
}

function atSecondary(args: readonly string[]): Promise<Ended> {
  return run([...args, ...at('secondary')], { cwd: folder.path });
}

async function done(ended: Promise<Ended>): Promise<string> {
  const { status, stdout, stderr } = await ended;
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** A value at the primary, read over HTTP: reading is not tested here, so no process is started for it. */
async function value(path: string): Promise<unknown> {
  return (await fetch(`${at('primary')[1]}/data${path}`)).json();
}

async function positionOf(role: 'primary' | 'secondary'): Promise<string> {
  const response = await fetch(`${at(role)[1]}/status`);
  return JSON.stringify(((await response.json()) as { position: unknown }).position);
}

/** Waits until the secondary has the primary's position. */
async function equal(): Promise<void> {
  await until('both are equal', async () => (await positionOf('primary')) === (await positionOf('secondary')), LIMIT_MS);
}

describe('data', () => {
  test('put, get, merge, patch and delete', async () => {
    expect(await done(atPrimary(['put', '/devices/r1', '{"mtu":1500,"up":true}']))).toMatch(/^\d+-\d+\n$/);
    await done(atPrimary(['put', '/negative', '-5']));
    await done(atPrimary(['put', '/piped', '-'], '{"from":["stdin"]}'));
    await done(atPrimary(['merge', '/devices/r1', '{"mtu":null,"alarm":"low"}']));
    expect(await value('')).toEqual({ devices: { r1: { up: true, alarm: 'low' } }, negative: -5, piped: { from: ['stdin'] } });
    await done(atPrimary(['patch', '-'], '[{"op":"test","path":"/negative","value":-5},{"op":"move","from":"/negative","path":"/moved"}]'));
    await done(atPrimary(['delete', '/piped']));
    expect(await value('')).toEqual({ devices: { r1: { up: true, alarm: 'low' } }, moved: -5 });
    expect(await done(atPrimary(['get', '/devices/r1']))).toBe('{\n  "alarm": "low",\n  "up": true\n}\n');
  });

  test('every command that writes takes --author and --message, and the history has them', async () => {
    await done(atPrimary(['put', '/noted', '{"n":0}']));
    await using watching = start(['watch', '/noted', '--json', ...at('secondary')], folder.path);
    await watching.printed('"event":"state"');
    const note = ['--author', 'Zoë 🌲', '--message', '100% sure,\nsaid "ja"'];
    await done(atPrimary(['put', '/noted/n', '1', ...note]));
    await done(atPrimary(['merge', '/noted', '{"n":2}', ...note]));
    await done(atPrimary(['patch', '[{"op":"replace","path":"/noted/n","value":3}]', ...note]));
    await done(atPrimary(['import', '-', '--at', '/noted', ...note], '{"n":4}'));
    await done(run(['delete', '/noted', '--message', 'gone', ...at('primary')], { env: { EVERTREE_AUTHOR: 'env' } }));
    await watching.printed('"message":"gone"');
    const events = watching.stdout
      .trim()
      .split('\n')
      .slice(1)
      .map(line => JSON.parse(line) as object);
    const meant = { author: 'Zoë 🌲', message: '100% sure,\nsaid "ja"' };
    expect(events).toMatchObject([meant, meant, meant, meant, { author: 'env', message: 'gone' }]);
  });

  test.each([
    ['the empty one', '/'],
    ['"~/"', '/~0~1'],
    ['__proto__', '/__proto__'],
    ['".."', '/..'],
    ['"%2F"', '/%2F'],
    ['10,000 characters', `/😀${'k'.repeat(10_000)}`],
  ])('a key may be odd: %s', async (_name, path) => {
    await done(atPrimary(['put', `/odd${path}`, '"odd"']));
    await equal();
    expect(await done(atSecondary(['get', `/odd${path}`]))).toBe('"odd"\n');
  });

  test.each<[string, readonly string[], number, RegExp]>([
    ['a path without its slash', ['get', 'devices'], 2, /does not begin with "\/"; write "\/devices"/],
    ['a string without its quotes', ['put', '/a', 'up and away'], 2, /column 1.*a string has quotes of its own: '"up and away"'/],
    ['a value of another language', ['put', '/a', 'NaN'], 2, /NaN.*JSON has no such value; write null or a string/],
    ['no value', ['put', '/a', '{"a":'], 2, /not JSON.*line 1, column 6/],
    ['a number that no double holds', ['put', '/a', '[9007199254740993]'], 2, /9007199254740993.*would become 9007199254740992/],
    ['a number beyond all', ['merge', '/a', '{"b":1e400}'], 2, /1e400/],
    ['a patch that is none', ['patch', '{}'], 2, /array of operations/],
    ['nothing there', ['get', '/nothing'], 1, /nothing is at "\/nothing" \(NOT_FOUND\)/],
    ['deleting nothing', ['delete', '/nothing'], 1, /NOT_FOUND/],
    ['a path through a leaf', ['put', '/devices/r1/up/deeper', '1'], 1, /PATH_INVALID/],
    ['a test that fails', ['patch', '[{"op":"test","path":"/devices","value":1}]'], 1, /TEST_FAILED/],
    ['an unknown command', ['gett', '/a'], 2, /unknown command 'gett'[^]*Did you mean get\?/],
    ['an unknown option', ['get', '/a', '--tokn', 'x'], 2, /unknown option '--tokn'/],
    ['a backup without a target', ['backup'], 2, /missing required argument 'target'/],
    ['a backup to what is none', ['backup', 'gs://bucket'], 2, /"gs:\/\/bucket" is no target; write a directory, or s3:\/\/bucket\/prefix/],
    ['a switchover without standby files', ['switchover'], 3, /box-a has no standby file[^]*box-b has no primary file.*\(WRONG_ROLE\)/],
  ])('%s is told, with its exit status', async (_name, args, status, message) => {
    const before = await value('');
    expect(await atPrimary(args)).toMatchObject({ status, stdout: '', stderr: expect.stringMatching(message) });
    expect(await value('')).toEqual(before);
  });

  test('a secondary refuses writes, and the command exits with 3', async () => {
    await equal();
    const before = await done(atSecondary(['export']));
    const told = new RegExp(
      `its primary is box-a, at http://127\\.0\\.0\\.1:${folder.primaryHttp} \\(--follow goes there\\) \\(NOT_PRIMARY`,
    );
    for (const args of [
      ['put', '/x', '1'],
      ['delete', '/devices'],
      ['merge', '/devices', '{}'],
    ]) {
      expect(await atSecondary(args)).toMatchObject({ status: 3, stderr: expect.stringMatching(told) });
    }
    expect(await done(atSecondary(['export']))).toBe(before);
  });

  test('with --follow the primary takes what a secondary refuses, and the whole tree is asked for there', async () => {
    expect(await atSecondary(['put', '/followed', '1', '--follow', '--acknowledge', '1'])).toMatchObject({ status: 0, stderr: '' });
    expect(await value('/followed')).toBe(1);
    expect(await atSecondary(['delete', '', '--follow'])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/removes the whole tree of box-a, at .*; add --yes/),
    });
    await done(atPrimary(['delete', '/followed', '--acknowledge', '1']));
  });

  test('a site that is not there is reported with its address', async () => {
    expect(await run(['status', '--url', `http://127.0.0.1:${folder.wire === 1 ? 2 : 1}`])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('no site answers at http://127.0.0.1:1'),
    });
  });
});

describe('import and export', () => {
  test('an import commits only what differs, as one transaction', async () => {
    await folder.write('v1.json', { keep: { a: 1, b: [1, { c: 2 }] }, change: 'x', drop: {} });
    await folder.write('v2.json', { keep: { a: 1, b: [1, { c: 2 }] }, change: 'y', add: { '/': null } });
    await done(atPrimary(['import', 'v1.json', '--at', '/import']));
    const first = JSON.parse(await done(atPrimary(['import', 'v2.json', '--at', '/import', '--json']))) as {
      position: { revision: number };
    };
    expect(first).toMatchObject({ added: 1, replaced: 1, removed: 1 });
    expect(await done(atPrimary(['import', 'v2.json', '--at', '/import']))).toBe('nothing differs; nothing was committed\n');
    const response = await fetch(`${at('primary')[1]}/status`);
    expect(await response.json()).toMatchObject({ position: { revision: first.position.revision } });
    expect(await value('/import')).toEqual(JSON.parse(await readFile(join(folder.path, 'v2.json'), 'utf8')));
  });

  test('an export sorts its keys, and equal trees make equal texts', async () => {
    await done(atPrimary(['put', '/sorted', '{"b":1,"a":{"z":[],"10":0,"9":0}}']));
    await equal();
    expect(await done(atPrimary(['export', '/sorted']))).toBe('{"a":{"10":0,"9":0,"z":[]},"b":1}\n');
    expect(await done(atSecondary(['export']))).toBe(await done(atPrimary(['export'])));
  });

  test('an export to a file has the bytes of a printed one, and says how many; one that fails leaves the file as it was', async () => {
    const file = join(folder.path, 'export.json');
    await done(atPrimary(['put', '/filed', '{"text":"é"}']));
    const written = await atPrimary(['export', '/filed', '--output', 'export.json']);
    expect(written).toMatchObject({ status: 0, stdout: '', stderr: expect.stringMatching(/ written to export\.json\n$/) });
    const text = await readFile(file, 'utf8');
    expect(text).toBe(await done(atPrimary(['export', '/filed'])));
    expect((await atPrimary(['export', '/nothing', '--output', 'export.json'])).status).toBe(1);
    expect(await readFile(file, 'utf8')).toBe(text);
  });

  test('a file that is missing or no JSON changes nothing', async () => {
    await folder.write('broken.json', '{"a": 1,\n "b": }');
    expect(await atPrimary(['import', 'none.json'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("none.json can't be read"),
    });
    expect(await atPrimary(['import', 'broken.json'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('broken.json: this is not JSON: at line 2, column 7'),
    });
  });
});

describe('watching', () => {
  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'watch prints the state, then each change, and goes on after %s and a restart of the site',
    async signal => {
      const place = `/watched-${signal}`;
      await done(atPrimary(['put', place, '{"a":1}']));
      await using watching = start(['watch', `${place}/*`, '--json', ...at('primary')]);
      await watching.printed('"event":"state"');
      await done(atPrimary(['put', `${place}/b`, '2']));
      await watching.printed(`["put","${place}/b",2]`);
      await sites[1]?.stop(signal);
      await watching.printed('asking again', 'stderr');
      sites = [sites[0]!, start([...folder.primary, '--site', 'box-a'], folder.path)];
      await sites[1]!.printed('"event":"started"', 'stderr', LIMIT_MS);
      await done(atPrimary(['delete', `${place}/a`]));
      await watching.printed(`["delete","${place}/a"]`);
      const events = watching.stdout
        .trim()
        .split('\n')
        .map(line => (JSON.parse(line) as { event: string }).event);
      expect(events).toEqual(['state', 'change', 'change']);
    },
  );

  test('status names role, position, digest and peers; --watch prints a line for each change', async () => {
    await equal();
    const status = JSON.parse(await done(atPrimary(['status', '--json']))) as { digest: string };
    expect(status).toMatchObject({
      site: 'box-a',
      role: 'primary',
      state: 'open',
      peers: [{ site: 'box-b', state: 'replicate', lagRevisions: 0 }],
    });
    expect(JSON.parse(await done(atSecondary(['status', '--json'])))).toMatchObject({
      site: 'box-b',
      role: 'secondary',
      digest: status.digest,
      peers: [],
    });
    expect(await done(atPrimary(['status']))).toMatch(
      /^box-a {2}primary {2}open\n[^]*digest {4}[0-9a-f]{16}\n {2}history {3}from [^\n]+\n {2}box-b {2}replicate, at \d+-\d+, lag 0 revisions/,
    );
    await using watching = start(['status', '--watch', '--json', ...at('secondary')]);
    await watching.printed('"site":"box-b"');
    const { position } = JSON.parse(await done(atPrimary(['put', '/seen', 'true', '--json']))) as { position: unknown };
    await watching.printed(JSON.stringify(position));
  });
});

describe('operation', () => {
  test('snapshot, and forget of a peer', async () => {
    expect(await done(atPrimary(['snapshot']))).toBe('the snapshot is written\n');
    expect(await atPrimary(['forget', 'box-c'])).toMatchObject({ status: 1, stderr: expect.stringContaining('NOT_FOUND') });
    expect(await atPrimary(['forget', 'box-b'])).toMatchObject({ status: 3, stderr: expect.stringContaining('is linked now') });
    await sites[0]?.stop('SIGTERM');
    expect(await done(atPrimary(['forget', 'box-b']))).toBe('box-b is forgotten\n');
    const { peers } = JSON.parse(await done(atPrimary(['status', '--json']))) as { peers: readonly { site: string }[] };
    expect(peers.map(peer => peer.site)).not.toContain('box-b');
  });

  test('check-config reports all problems at once and exits with 2', async () => {
    await folder.write('wrong.json', '{\n"netty-consumer": { "listening-port": 0 },\n"limitz": {}\n}');
    const ended = await run(['check-config', 'wrong.json', 'consumer.json'], { cwd: folder.path });
    expect(ended).toEqual({
      status: 2,
      stderr: '',
      stdout:
        'wrong.json:2:21: netty-consumer.listening-port is 0; write the port to listen on: a whole number from 1 to 65535\n' +
        'wrong.json:3:1: limitz is not known; did you mean "limits"?\n' +
        'consumer.json: right, for a secondary over WebSocket\n',
    });
  });

  test('check-config tells where a site archives, for how many, and each wrong line of its recipients', async () => {
    const listens = { 'netty-consumer': { 'listening-port': 9999 } };
    await folder.write('recipients', 'age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\n');
    await folder.write('archives.json', { ...listens, archive: { target: 's3://backups/north', recipients: 'recipients' } });
    expect(await done(run(['check-config', 'archives.json'], { cwd: folder.path }))).toBe(
      'archives.json: right, for a secondary over WebSocket\n' +
        'archives.json: archives into s3://backups/north, encrypted for 1 recipient\n',
    );
    const answer = JSON.parse(await done(run(['check-config', '--json', 'archives.json'], { cwd: folder.path }))) as unknown;
    expect(answer).toMatchObject([{ archive: { target: 's3://backups/north', recipients: 1 } }]);
    await folder.write('recipients', '# operators\nage1lggyhq\n');
    const refused = await run(['check-config', 'archives.json'], { cwd: folder.path });
    expect(refused).toMatchObject({ status: 2, stdout: expect.stringContaining('names "recipients", which has on line 2 "age1lggyhq"') });
  });

  const helped = [
    'put',
    'pair',
    'status',
    'get',
    'export',
    'watch',
    'history',
    'show',
    'diff',
    'blame',
    'find',
    'mark',
    'marks',
    'unmark',
    'revert',
  ];
  test.each(helped.map(command => `${command} --help`))('%s is worth reading, and has nothing of archives', async args => {
    const help = await done(run(args.split(' ')));
    expect(help).toMatch(/Usage: evertree/);
    expect(help).toMatch(/Example/);
    expect(help).not.toMatch(/backup|restore|drill/i);
  });

  test.each([
    ['--help', /Start with[^]*backup/],
    ['backup --help', /--dry-run[^]*TARGET is a directory[^]*Examples/],
    ['backup init --help', /TARGET is a directory[^]*Examples[^]*age-keygen/],
    ['prune --help', /--keep-last[^]*--dry-run[^]*Always kept[^]*TARGET is a directory[^]*Examples/],
  ])('%s is worth reading', async (args, expected) => {
    const help = await done(run(args.split(' ')));
    expect(help).toMatch(/Usage: evertree/);
    expect(help).toMatch(expected);
  });
});
