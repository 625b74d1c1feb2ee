import kafkajs from 'kafkajs';
import { now } from '../clock.ts';
import { PICKS, type Shape, picks } from '../shape.ts';

/** As the floor says. */
const MESSAGES_A_SEND = 500;
/** Of the bare client's messages. */
const KEY = 'DefaultKey';

type Tree = { [key: string]: Tree | number };

interface ChangeSet {
  readonly revision: number;
  readonly time: number;
  readonly operations: readonly (readonly ['put', path: readonly string[], value: number])[];
}

/** One of the two processes of an application that keeps a second tree up to date through Kafka by itself. */
export class ByHandTasks {
  readonly #tree: Tree = {};
  #kafka: kafkajs.Kafka | undefined;
  #producer: kafkajs.Producer | undefined;
  #topic = '';
  #paths: string[][] = [];
  #made = 0;
  #seen = 0;
  #received: (time: number) => void = () => undefined;

  async connect(broker: string, topic: string): Promise<void> {
    this.#kafka = new kafkajs.Kafka({ clientId: 'by-hand', brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
    this.#topic = topic;
  }

  async makeTopic(): Promise<void> {
    const admin = this.#client.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: this.#topic, numPartitions: 1, replicationFactor: 1 }] });
    await admin.disconnect();
  }

  async startWriting(shape: Shape): Promise<void> {
    this.#paths = picks(shape);
    this.#producer = this.#client.producer({ idempotent: true, maxInFlightRequests: 1 });
    await this.#producer.connect();
  }

  /** @returns when the first change was made */
  async write(count: number): Promise<number> {
    const started = now();
    for (let done = 0; done < count; done += MESSAGES_A_SEND) {
      await this.#send(Array.from({ length: Math.min(MESSAGES_A_SEND, count - done) }, () => this.#change()));
    }
    return started;
  }

  /**
   * One message at a time, each when the one before it has been acknowledged.
   * @returns when each was sent
   */
  async sendSingly(count: number, bytes: number): Promise<Float64Array> {
    const value = Buffer.alloc(bytes, 'x');
    const times = new Float64Array(count);
    for (let done = 0; done < count; done++) {
      times[done] = now();
      await this.#send([{ key: KEY, value }]);
    }
    return times;
  }

  /** Applies each change to its own tree; `raw`: only notes when messages arrive. */
  async startReading(raw: boolean): Promise<void> {
    const consumer = this.#client.consumer({ groupId: this.#topic });
    await consumer.connect();
    await consumer.subscribe({ topics: [this.#topic], fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        if (!raw) this.#apply(JSON.parse(message.value?.toString() ?? '') as ChangeSet);
        this.#seen++;
        this.#received(now());
      },
    });
  }

  /** @returns when the last of `count` messages was there, counted from the topic's first one */
  async arrival(count: number): Promise<number> {
    return this.#arrived(count, () => undefined);
  }

  /** @returns when each message after the first `first` ones was there */
  async arrivals(first: number, count: number): Promise<Float64Array> {
    const times = new Float64Array(count);
    await this.#arrived(first + count, time => {
      times[this.#seen - first - 1] = time;
    });
    return times;
  }

  /** User and system, microseconds since the process began. */
  async cpu(): Promise<number> {
    const { user, system } = process.cpuUsage();
    return user + system;
  }

  #arrived(count: number, each: (time: number) => void): Promise<number> {
    return new Promise(resolve => {
      if (this.#seen >= count) return resolve(now());
      this.#received = time => {
        each(time);
        if (this.#seen >= count) resolve(time);
      };
    });
  }

  #change(): kafkajs.Message {
    const path = this.#paths[this.#made % PICKS]!;
    const changeSet: ChangeSet = { revision: ++this.#made, time: Date.now(), operations: [['put', path, this.#made]] };
    this.#apply(changeSet);
    return { key: path.join('/'), value: JSON.stringify(changeSet) };
  }

  #apply({ operations }: ChangeSet): void {
    for (const [, path, value] of operations) {
      let node = this.#tree;
      for (const key of path.slice(0, -1)) node = (node[key] ??= {}) as Tree;
      node[path.at(-1)!] = value;
    }
  }

  async #send(messages: kafkajs.Message[]): Promise<void> {
    if (this.#producer === undefined) throw new Error('this one does not write');
    await this.#producer.send({ topic: this.#topic, messages });
  }

  get #client(): kafkajs.Kafka {
    if (this.#kafka === undefined) throw new Error('not connected');
    return this.#kafka;
  }
}
