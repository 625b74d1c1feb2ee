import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Recipients, openTarget } from '@evertree/archive';
import { expect, it } from 'vitest';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { IDENTITY, RECIPIENT } from '../support/archived-history.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { until } from '../support/http-site.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { RoleSites } from '../support/role-sites.ts';
import { framesOf } from '../support/stores.ts';
import { TopicStage } from '../support/topic-stage.ts';

describeKafka('a secondary on a topic that no longer reaches back', () => {
  const stage = new TopicStage();

  it('catches up from the encrypted archive that its file names, and goes on in the topic', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'evertree-catch-up-'));
    await using sites = await RoleSites.onTopic(stage.broker, stage.topic.name, 'north', 'south');
    try {
      const north = await sites.start('north', { role: 'primary' }, 'primary');
      const before = await sites.start('south', { role: 'secondary' }, 'standby');
      await north.store.put('/begun', true).acknowledged(1, { timeoutMs: 20_000 });
      expect(before.consumer?.state.resyncs.count).toBe(0);
      await sites.stop('south');
      for (let index = 0; index < 20; index++) await north.store.put(`/items/${index}`, index).durable;
      await until(() => north.producer?.peers.find(({ relay }) => relay)?.lagRevisions === 0, 20_000);
      const { high } = await stage.topic.offsets();
      await stage.topic.deleteBefore(high - 2);
      const place = join(folder, 'archive');
      await using target = await openTarget(place, { clock: systemClock, random: systemRandom, make: true });
      const maker = new ArchiveMaker(target, { sealing: Recipients.parse([RECIPIENT]) });
      const line = maker.line('north');
      for (const group of inGroups(await framesOf(north.store.journal), 6)) await line.stretch(group);
      await maker.publish();
      const identityFile = join(folder, 'identity.txt');
      await writeFile(identityFile, IDENTITY, { mode: 0o600 });
      const archive = { catchUpFrom: place, identityFile };
      const south = await sites.start('south', { archive }, 'standby');
      await sites.settled(north);
      // The trees are equal before the archive has been read to its end.
      await until(() => south.consumer?.state.catchUps?.done === 1);
      expect(south.consumer?.state).toMatchObject({ resyncs: { count: 0 }, catchUps: { done: 1, failed: 0 } });
      await north.store.put('/after', true).acknowledged(1, { timeoutMs: 20_000 });
      await sites.settled(north);
      expect(south.consumer?.state).toMatchObject({ resyncs: { count: 0 }, catchUps: { done: 1 } });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
