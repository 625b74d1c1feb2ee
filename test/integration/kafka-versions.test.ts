import { ORIGIN } from '@evertree/core';
import type { Store } from '@evertree/core';
import { describe, expect, it, vi } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import type { Written } from '../support/topic.ts';
import { SOON } from '../support/topic-sites.ts';
import { TopicStage, expectNoCopy } from '../support/topic-stage.ts';

/** Each with what a reason was then, and what a hello had beside the rest. */
const REASON = { code: 'retention-passed', text: 'retention has passed it by' };
const OLD = [
  { version: 1, reason: REASON.text, more: {} },
  { version: 2, reason: REASON, more: {} },
  { version: 3, reason: REASON, more: { standing: 'secondary', standby: false } },
] as const;
type Old = (typeof OLD)[number];

const headersOf = ({ version }: Old) => ({ evertree: String(version), from: 'a'.repeat(16) });
const refusalOf = ({ version }: Old) => new RegExp(`old speaks the protocol's versions ${version}, this program 4: .*`);

/** What an end of an old version says of itself. */
function control(old: Old, key: string, { stream, epochs }: Store, role: 'primary' | 'secondary', more: object): Written {
  const hello = {
    protocols: [old.version],
    program: '0.0.9',
    site: 'old',
    role,
    stream,
    position: ORIGIN,
    digest: '0'.repeat(16),
    epochs,
    durable: true,
    heartbeatMs: 250,
    ...old.more,
  };
  return { key, value: Buffer.from(JSON.stringify({ hello, ...more })), headers: headersOf(old) };
}

describeKafka('a topic and old versions of the protocol', () => {
  const stage = new TopicStage();

  describe('frames that they wrote', () => {
    it.each(OLD)('are read, and a primary goes on after them: version $version', async ({ version }) => {
      const [primary, secondary] = await stage.pair();
      await secondary.close();
      await primary.close();
      const frames = await stage.topic.records();
      await stage.topic.remove(stage.topic.name, stage.topic.snapshots, stage.topic.control);
      await stage.topic.create();
      await stage.topic.write(
        frames.map(({ key, value, headers }) => ({ key, value, headers: { ...headers, evertree: String(version) } })),
      );
      const again = await stage.primary({ disk: primary.disk });
      await again.commit(1);
      await again.sent();
      // The start of this primary, and its commit.
      expect((await stage.topic.records()).map(({ headers }) => String(headers?.['evertree']))).toEqual([
        ...frames.map(() => String(version)),
        '4',
        '4',
      ]);
      const fresh = await stage.secondary({ disk: new FaultDisk() });
      await fresh.equals(again);
      expectNoCopy(fresh);
      expect(fresh.warnings).toEqual([]);
    });
  });

  it.each(OLD)('a primary of version $version is refused by a secondary, by name, here and in the control topic', async old => {
    const [primary, secondary] = await stage.pair();
    await primary.close();
    await secondary.close();
    await stage.topic.write([control(old, 'primary', primary.store, 'primary', { partition: 0 })], {}, stage.topic.control);
    const again = await stage.secondary({ disk: secondary.disk });
    await vi.waitFor(() => expect(again.consumer.state.lastError).toMatch(refusalOf(old)), SOON);
    // Until it has written there, the last word of its site is that of the secondary that closed.
    await vi.waitFor(async () => {
      const said = (await stage.topic.records(stage.topic.control)).filter(({ key }) => String(key) === 'site/b').at(-1);
      expect(JSON.parse(String(said?.value))).toMatchObject({
        closing: { reason: 'protocol-unsupported', explanation: expect.stringMatching(refusalOf(old)) },
      });
    }, SOON);
  });

  it.each(OLD)('a secondary of version $version is listed as refused, by name, and no snapshot is made for it', async old => {
    const [primary] = await stage.pair();
    const { reason } = old;
    const want = { after: ORIGIN, reason, tried: null };
    await stage.topic.write(
      [
        control(old, 'site/old', primary.store, 'secondary', { state: 'snapshot', reason }),
        { key: 'want/old', value: Buffer.from(JSON.stringify(want)), headers: headersOf(old) },
      ],
      {},
      stage.topic.control,
    );
    await vi.waitFor(() => expect(primary.peer('old').lastError).toMatch(refusalOf(old)), SOON);
    await primary.commit(1);
    await primary.sent();
    expect(primary.told('topic-snapshot')).toEqual([]);
    expect(primary.told('records-passed-over')).toEqual([]);
  });
});
