import type { Transport } from '@evertree/core';
import { afterEach, expect, test, vi } from 'vitest';
import { systemClock, systemRandom } from '../../../../test/support/host.ts';
import { strictReport } from '../../../../test/support/reports.ts';
import { type Broker, BrokerError } from './broker.ts';
import type { MakeBroker } from './clients.ts';
import { claimTransport } from './claims/claim-transport.ts';
import type { PublishOptions, SubscribeOptions } from './options.ts';
import { publishTransport } from './publish/publisher.ts';
import { subscribeTransport } from './subscribe/subscriber.ts';

let transport: Transport;
afterEach(() => transport.close());

type Options = PublishOptions & SubscribeOptions;
const ENDS: Record<string, (options: Options, connect: MakeBroker) => Transport> = {
  'a primary': publishTransport,
  'a secondary': subscribeTransport,
  'a promotion': claimTransport,
};

const away = () => Promise.reject(new BrokerError('UNREACHABLE', 'this broker is away', { lasting: false }, {}));
const broker: Broker = {
  nodes: away,
  metadata: away,
  listOffsets: away,
  describeConfigs: away,
  createTopics: away,
  deleteRecords: away,
  commitOffset: away,
  probe: away,
  openReader: away,
  openWriter: away,
  abandon: () => undefined,
  close: () => Promise.resolve(),
};

const NOBODY = { link: () => undefined, failed: () => undefined };

test.for(Object.entries(ENDS))('%s makes each client with the credentials that there are by then', async ([name, make]) => {
  let password = 'before';
  const used: (string | undefined)[] = [];
  const connect: MakeBroker = ({ connection: { sasl } }) => {
    used.push(sasl !== undefined && 'password' in sasl ? sasl.password : undefined);
    password = 'after';
    return broker;
  };
  const options: Options = {
    clock: systemClock,
    random: systemRandom,
    report: strictReport,
    site: 'site',
    topic: 'topic',
    partition: 0,
    key: 'key',
    groupId: 'group',
    limits: { retryMs: 1, retryMostMs: 1 },
    get connection() {
      return { brokers: ['broker:1'], sasl: { mechanism: 'plain' as const, username: 'site', password } };
    },
  };
  transport = make(options, connect);
  await transport.open(NOBODY);
  // A claim is made once: the next promotion makes another transport of the same options.
  if (name === 'a promotion') await (transport = make(options, connect)).open(NOBODY);
  await vi.waitFor(() => expect(used.slice(0, 2)).toEqual(['before', 'after']), { timeout: 10_000 });
});
