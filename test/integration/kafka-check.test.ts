import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ConfigResourceTypes, ResourcePatternTypes } from 'kafkajs';
import type { AclEntry, Admin } from 'kafkajs';
import { openStore, startProducer } from 'evertree';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createClient } from '../../packages/transport/src/kafka/kafkajs/client.ts';
import { type FileReport, checkFile, checkedText, statusOf } from '../../packages/evertree/src/commands/file-check.ts';
import type { Finding } from '../../packages/evertree/src/commands/finding.ts';
import { type KafkaBroker, startKafka } from '../support/kafka/broker.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { run } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';

const SECRET = 'correct-horse';

let folder: SiteFolder;
beforeAll(async () => {
  folder = await siteFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

/** Writes a file and asks the other side, as `check-config --connect` does. */
const CONNECT_MS = 5_000;

async function check(content: object): Promise<FileReport & { readonly findings: readonly Finding[] }> {
  const file = join(folder.path, `${crypto.randomUUID()}.json`);
  writeFileSync(file, JSON.stringify(content));
  const checked = await checkFile(file, CONNECT_MS);
  return { ...checked, findings: checked.findings ?? [] };
}

const drawTopic = () => `check-${crypto.randomUUID()}`;
const entries = (settings: object) => Object.entries(settings).map(([name, value]) => ({ name, value: String(value) }));
const worst = (findings: readonly Finding[]) => findings.filter(({ level }) => level === 'refused' || level === 'failed');
const subjectsOf = (findings: readonly Finding[]) => findings.map(({ level, subject }) => `${level}: ${subject}`);

describeKafka('check-config --connect with a Kafka file', () => {
  let broker: KafkaBroker;
  let admin: Admin;

  beforeAll(async () => {
    broker = await startKafka({ users: { operator: SECRET, guest: SECRET } });
    admin = createClient({ brokers: [broker.address] }, () => undefined).admin();
    await admin.connect();
  });
  afterAll(async () => {
    await admin.disconnect();
    await broker[Symbol.asyncDispose]();
  });

  const producer = (topic: string, more: object = {}) => ({
    'kafka-messaging': { topic, ...more },
    'kafka-producer-properties': { 'bootstrap.servers': broker.address },
  });
  const consumer = (topic: string, user: string, password = SECRET) => ({
    'kafka-messaging': { topic },
    'kafka-consumer-properties': {
      'bootstrap.servers': broker.addressOf('SASL_PLAINTEXT'),
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'PLAIN',
      'sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required username="${user}" password="${password}";`,
      'group.id': 'sites',
    },
  });

  /** The three topics of a stream, as they should be but for what is given. */
  async function makeTopics(
    frames: Record<string, string>,
    numPartitions = 1,
    others: { snapshot?: object; control?: object } = {},
  ): Promise<string> {
    const topic = drawTopic();
    const snapshot = { 'retention.ms': -1, 'retention.bytes': -1, ...others.snapshot };
    const control = { 'cleanup.policy': 'compact', ...others.control };
    await admin.createTopics({
      waitForLeaders: false,
      topics: [
        { topic, numPartitions, configEntries: entries(frames) },
        { topic: `${topic}.snapshot`, numPartitions: 1, configEntries: entries(snapshot) },
        { topic: `${topic}.control`, numPartitions: 1, configEntries: entries(control) },
      ],
    });
    await untilLed(topic);
    return topic;
  }

  /** Topics are there, and listed, before they have leaders. */
  async function untilLed(topic: string): Promise<void> {
    const leaders = () => Promise.all([topic, `${topic}.snapshot`, `${topic}.control`].map(name => admin.fetchTopicOffsets(name)));
    await vi.waitFor(leaders, { timeout: 20_000, interval: 20 });
  }

  test('missing topics may be made, and checking makes none', async () => {
    const topic = drawTopic();
    const { findings } = await check(producer(topic));
    expect(subjectsOf(findings)).toEqual([
      'note: the brokers',
      `warning: topic ${topic}`,
      `warning: topic ${topic}.snapshot`,
      `warning: topic ${topic}.control`,
    ]);
    expect(findings[1]?.message).toContain('would make it with one replica');
    expect(await admin.listTopics()).not.toContain(topic);
    expect(worst((await check(consumer(topic, 'operator'))).findings)).toEqual([]);
  });

  test('the topics that a primary makes are right, except for their one replica', async () => {
    const topic = drawTopic();
    await using store = await openStore({ data: 'memory' });
    await using started = await startProducer(store, producer(topic));
    expect(started.peers).toHaveLength(1);
    await untilLed(topic);
    const { findings } = await check(producer(topic));
    expect(subjectsOf(findings)).toEqual([
      'note: the brokers',
      `note: topic ${topic}`,
      `warning: topics ${topic}, ${topic}.snapshot, ${topic}.control`,
    ]);
    expect(findings[1]?.message).toContain(
      'keeps frames for 7 d ("retention.ms"): a secondary that is away for longer starts from a snapshot',
    );
  });

  test.each<[string, 'refused' | 'warning', RegExp, Record<string, string>]>([
    ['compaction', 'refused', /is compacted .*takes frames out of its middle/, { 'cleanup.policy': 'compact,delete' }],
    ['batches of 16,000 bytes', 'refused', /takes batches of 16000 bytes at most .*it has to take 16384/, { 'max.message.bytes': '16000' }],
    ['batches of 60,000 bytes', 'warning', /frames travel in many small parts/, { 'max.message.bytes': '60000' }],
    ['another codec', 'refused', /compresses everything with lz4, which secondaries can't read/, { 'compression.type': 'lz4' }],
    [
      'replicas that are not there',
      'refused',
      /has "min.insync.replicas" 2 and 1 replica, so nothing can be written/,
      { 'min.insync.replicas': '2' },
    ],
    ['old records', 'warning', /refuses records older than 1 min/, { 'message.timestamp.before.max.ms': '60000' }],
    ['other times', 'warning', /replaces the times of commits/, { 'message.timestamp.type': 'LogAppendTime' }],
  ])('%s: %s, and the command that is given mends it', async (_name, level, message, settings) => {
    const topic = await makeTopics(settings);
    const find = async () => (await check(producer(topic))).findings.find(finding => message.test(finding.message));
    const found = await find();
    expect(found).toMatchObject({ level, subject: `topic ${topic}` });
    await alter(found?.remedy ?? '');
    expect(await find()).toBeUndefined();
  });

  test('compacted snapshots, snapshots that go, and a control topic that forgets', async () => {
    const topic = await makeTopics({}, 1, {
      snapshot: { 'cleanup.policy': 'compact', 'retention.ms': 1000 },
      control: { 'cleanup.policy': 'delete' },
    });
    const { findings } = await check(producer(topic));
    expect(subjectsOf(findings)).toEqual(
      expect.arrayContaining([`refused: topic ${topic}.snapshot`, `warning: topic ${topic}.snapshot`, `warning: topic ${topic}.control`]),
    );
    for (const { subject, remedy } of findings) if (subject.startsWith(`topic ${topic}.`)) await alter(remedy ?? '');
    expect(subjectsOf((await check(producer(topic))).findings).filter(line => line.includes(`topic ${topic}.`))).toEqual([]);
  });

  test('how long frames are kept is reported', async () => {
    expect(await retention({ 'retention.ms': '-1' })).toContain('keeps everything');
    expect(await retention({ 'retention.ms': '7200000', 'retention.bytes': '1000000' })).toContain('for 2 h or 1.00 MB');
  });

  test("a partition that is not there, and records in somebody else's", async () => {
    const topic = await makeTopics({}, 2);
    expect(worst((await check(producer(topic, { partition: 2 }))).findings)).toMatchObject([
      {
        subject: `topic ${topic}`,
        message: expect.stringContaining('has no partition 2'),
        remedy: expect.stringContaining('--partitions 3'),
      },
    ]);
    const writer = createClient({ brokers: [broker.address] }, () => undefined).producer();
    await writer.connect();
    await writer.send({ topic, messages: [{ partition: 1, value: 'not ours' }] });
    await writer.disconnect();
    const { findings } = await check(producer(topic, { partition: 0 }));
    expect(findings).toContainEqual(
      expect.objectContaining({ level: 'warning', message: expect.stringContaining('has records in partition 1 too') }),
    );
    expect(worst(findings)).toEqual([]);
  });

  test('rights that this user lacks are reported, with the command that grants them', async () => {
    const topic = await makeTopics({});
    await allow(topic, 'DESCRIBE', 'READ');
    await allow(`${topic}.control`, 'DESCRIBE', 'DESCRIBE_CONFIGS', 'READ');
    const { findings } = await check(consumer(topic, 'guest'));
    expect(subjectsOf(findings)).toEqual(expect.arrayContaining([`warning: topic ${topic}`, `refused: topic ${topic}.control`]));
    expect(worst(findings)).toEqual([
      {
        level: 'refused',
        subject: `topic ${topic}.control`,
        message: 'may not be written by this user',
        remedy: `kafka-acls.sh --bootstrap-server ${broker.addressOf('SASL_PLAINTEXT')} --command-config client.properties --add --allow-principal 'User:guest' --operation Read --operation Write --topic ${topic}.control`,
      },
    ]);
    await allow(`${topic}.control`, 'WRITE');
    expect(worst((await check(consumer(topic, 'guest'))).findings)).toEqual([]);
    expect(worst((await check(consumer(topic, 'operator'))).findings)).not.toEqual([]);
  });

  test('wrong credentials are refused, a broker that is away could not be asked; neither result shows the password', async () => {
    const wrong = await check(consumer('any', 'guest', `not-${SECRET}`));
    expect(worst(wrong.findings)).toMatchObject([
      { level: 'refused', message: expect.stringContaining('it refuses the credentials of "guest"') },
    ]);
    expect(statusOf([wrong])).toBe(2);
    expect(checkedText(wrong)).not.toContain(SECRET);
    const away = await check({ 'kafka-producer-properties': { 'bootstrap.servers': '127.0.0.1:1' } });
    expect(worst(away.findings)).toMatchObject([{ level: 'failed', message: expect.stringContaining('nothing listens there') }]);
    expect(statusOf([away])).toBe(1);
  });

  test('the program prints the result, for people and as JSON, and exits with 2', async () => {
    const topic = await makeTopics({ 'cleanup.policy': 'compact' });
    await folder.write('kafka.json', producer(topic));
    const [text, json] = await Promise.all([
      run(['check-config', '--connect', 'kafka.json'], { cwd: folder.path }),
      run(['check-config', '--connect', '--json', 'kafka.json'], { cwd: folder.path }),
    ]);
    expect(text).toMatchObject({ status: 2, stderr: '' });
    expect(text.stdout).toContain(`kafka.json: refused: topic ${topic} is compacted`);
    expect(text.stdout).toMatch(/^ {4}kafka-configs\.sh --bootstrap-server .* --add-config cleanup\.policy=delete$/m);
    expect(json).toMatchObject({ status: 2, stderr: '' });
    expect(JSON.parse(json.stdout)).toMatchObject([
      { file: 'kafka.json', problems: [], findings: expect.arrayContaining([expect.objectContaining({ level: 'refused' })]) },
    ]);
  });

  /** The findings for a topic with these settings. */
  async function retention(settings: Record<string, string>): Promise<string | undefined> {
    const topic = await makeTopics(settings);
    return (await check(producer(topic))).findings.find(({ subject, level }) => level === 'note' && subject === `topic ${topic}`)?.message;
  }

  /** Does what `kafka-configs.sh --alter` would. */
  async function alter(command: string): Promise<void> {
    const [, name = '', settings = ''] = /--entity-name (\S+) --add-config (\S+)/.exec(command) ?? [];
    const changed = new Map(settings.split(/,(?=[a-z.]+=)/).map(setting => setting.split('=') as [string, string]));
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name }] });
    const present = (resources[0]?.configEntries ?? []).filter(({ isDefault, configName }) => !isDefault && !changed.has(configName));
    for (const { configName, configValue } of present) changed.set(configName, configValue);
    const configEntries = [...changed].map(([key, value]) => ({ name: key, value }));
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries }] });
    await vi.waitFor(async () => {
      const after = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name }] });
      for (const [key, value] of changed) {
        expect(after.resources[0]?.configEntries.find(({ configName }) => configName === key)?.configValue).toBe(value);
      }
    });
  }

  async function allow(topic: string, ...operations: readonly (keyof typeof AclOperationTypes)[]): Promise<void> {
    const acl = operations.map((operation): AclEntry => ({
      resourceType: AclResourceTypes.TOPIC,
      resourceName: topic,
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: 'User:guest',
      host: '*',
      operation: AclOperationTypes[operation],
      permissionType: AclPermissionTypes.ALLOW,
    }));
    await admin.createAcls({ acl });
  }
});
