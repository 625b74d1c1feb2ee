import { expect, test } from 'vitest';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { type Ended, run } from '../support/program.ts';
import type { SiteProcess } from '../support/site-process.ts';
import { START_LIMIT_MS, TopicProcesses, untilEqual } from '../support/topic-processes.ts';

function at(site: SiteProcess, ...args: readonly string[]): Promise<Ended> {
  return run([...args, '--url', site.url]);
}

describeKafka('the past of a secondary that reads a topic', () => {
  test('is that of its primary: values, commits, authors, differences and marks', async () => {
    await using sites = await TopicProcesses.at(await sharedBroker());
    const primary = await sites.primary();
    await primary.start(START_LIMIT_MS);
    const write = async (...args: readonly string[]) => {
      const { status, stdout, stderr } = await at(primary, ...args);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return stdout.trim();
    };
    const loaded = await write('put', '/devices', '{"r1":{"mtu":1500},"r2":{}}', '--author', 'Zoë 🌲', '--message', 'first load');
    await write('mark', 'before-upgrade', '--message', 'release 7');
    await write('merge', '/devices/r1', '{"mtu":9000}', '--author', 'bob');
    const removed = await write('delete', '/devices/r2');
    const secondary = await sites.secondary();
    await secondary.start(START_LIMIT_MS);
    await untilEqual(primary, secondary);

    const questions = [
      `/data?at=${loaded}`,
      '/data/devices/r1?at=before-upgrade',
      '/history',
      '/history?path=/devices/r1/mtu&limit=1',
      `/history/${removed}`,
      `/diff?from=before-upgrade&to=${removed}`,
      `/blame?at=${removed}`,
      '/find?path=/devices&deleted=true',
      '/marks',
    ];
    for (const question of questions) {
      const [ours, theirs] = await Promise.all([primary, secondary].map(site => fetch(`${site.url}${question}`)));
      const what = { question, status: ours!.status, etag: ours!.headers.get('etag'), position: ours!.headers.get('evertree-position') };
      expect({ question, status: 200, etag: theirs!.headers.get('etag'), position: theirs!.headers.get('evertree-position') }).toEqual(
        what,
      );
      expect(await theirs!.text()).toBe(await ours!.text());
    }

    const refused = await at(secondary, 'revert', '/devices', '--to', 'before-upgrade');
    expect(refused).toMatchObject({ status: 3, stderr: expect.stringContaining('NOT_PRIMARY') });
    await write('revert', '/devices', '--to', 'before-upgrade', '--json');
    await untilEqual(primary, secondary);
    const { stdout } = await at(secondary, 'get', '/devices', '--json');
    expect(JSON.parse(stdout)).toEqual({ r1: { mtu: 1500 }, r2: {} });
  });
});
