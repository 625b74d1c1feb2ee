import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type KafkaBroker, startKafka } from '../test/support/kafka/broker.ts';
import { KafkaByHand } from './contestants/kafka-by-hand.ts';
import { Lab } from './contestants/lab.ts';
import { Pair, type PairOptions } from './contestants/pair.ts';
import { type RedisFile, RedisPair, redisVersion } from './contestants/redis.ts';
import { type Wire, kafkaWire } from './contestants/wires.ts';
import type { KafkaClientName } from '@evertree/transport/kafka';
import type { Figure } from './figure.ts';
import { killAll } from './processes.ts';
import type { Progress } from './progress.ts';
import type { Shape } from './shape.ts';

export interface BenchOptions {
  readonly quick: boolean;
  /** The laboratory's folder. */
  readonly lab: string | undefined;
  /** All contestants' directories are made in here. */
  readonly data: string;
  readonly profiles: string | undefined;
}

export interface Measure {
  readonly name: string;
  readonly about: string;
  /** Left out of a quick run. */
  readonly fullOnly?: boolean;
  /** Left out, with a note, if it is not available. */
  readonly needs?: 'kafka' | 's3';
  /** What a full run of it takes on two cores, about. */
  readonly seconds: number;
  /** What it takes in a quick run, of those that a quick run has. */
  readonly quickSeconds?: number;
  /** Its contestants stay for a later measure with the same word; all are ended when none follows. */
  readonly shares?: 'pair' | 'broker';
  run(bench: Bench): Promise<Figure[]>;
}

/**
 * What the measures of one run share: its size, its directory, and the contestants that are kept from one measure to
 * the next.
 */
export class Bench implements AsyncDisposable {
  readonly options: BenchOptions;
  readonly progress: Progress;
  readonly redisVersion = redisVersion();
  readonly #directory: string;
  readonly #pairs = new Map<string, Promise<Pair>>();
  readonly #redis = new Map<string, Promise<RedisPair>>();
  readonly #byHand = new Map<string, Promise<KafkaByHand>>();
  #broker: Promise<KafkaBroker> | undefined;
  #topics = 0;
  #lab: Lab | undefined;
  #directories = 0;

  constructor(options: BenchOptions, progress: Progress) {
    this.options = options;
    this.progress = progress;
    mkdirSync(options.data, { recursive: true });
    this.#directory = mkdtempSync(join(options.data, 'evertree-bench-'));
    if (options.profiles !== undefined) mkdirSync(options.profiles, { recursive: true });
    if (options.lab !== undefined) this.#lab = new Lab(options.lab, this.directory('lab'));
  }

  get rounds(): number {
    return this.options.quick ? 3 : 5;
  }

  /** For measures with Kafka, so that a broker adds little time to a quick run. */
  get kafkaRounds(): number {
    return this.options.quick ? 1 : 5;
  }

  /** The size of something in a full run, and in a quick one. */
  size(full: number, quick: number): number {
    return this.options.quick ? quick : full;
  }

  get lab(): Lab | undefined {
    return this.#lab;
  }

  get hasRedis(): boolean {
    return this.redisVersion !== undefined;
  }

  /** A new directory; it is deleted when the bench ends. */
  directory(label: string): string {
    return join(this.#directory, `${this.#directories++}-${label}`);
  }

  /** The connected pair for a tree of this shape, warmed up; measures leave it connected and equal. */
  pair(shape: Shape): Promise<Pair> {
    return remembered(this.#pairs, JSON.stringify(shape), () => this.#startPair(shape));
  }

  /** Another such pair, whose sites note when changes reach each stage of their way; the caller closes it. */
  probedPair(shape: Shape): Promise<Pair> {
    return this.#startPair(shape, { probed: true });
  }

  /** A primary and a replica for keys of this shape. */
  redis(file: RedisFile, shape: Shape): Promise<RedisPair> {
    return remembered(this.#redis, `${file} ${JSON.stringify(shape)}`, () => this.#startRedis(file, shape));
  }

  /** A real Apache Kafka for the whole run. */
  broker(): Promise<KafkaBroker> {
    this.#broker ??= startKafka({ data: this.directory('kafka'), tell: line => process.stderr.write(`${line}\n`) });
    return this.#broker;
  }

  /** A new topic. */
  async kafkaWire(client: KafkaClientName = 'kafkajs'): Promise<Wire> {
    return kafkaWire((await this.broker()).port, this.#topic(), client);
  }

  /** The connected pair with a topic of its own, warmed up, as `pair` is. */
  kafkaPair(shape: Shape, client: KafkaClientName = 'kafkajs'): Promise<Pair> {
    return remembered(this.#pairs, `${client} ${JSON.stringify(shape)}`, async () =>
      this.#startPair(shape, { wire: await this.kafkaWire(client) }),
    );
  }

  /** The client that a user writes by hand, or kafkajs by itself. */
  byHand(shape: Shape, reader: 'applies' | 'only receives'): Promise<KafkaByHand> {
    return remembered(this.#byHand, `${reader} ${JSON.stringify(shape)}`, () => this.#startByHand(shape, reader === 'only receives'));
  }

  /**
   * Ends all contestants, those of a measure that failed as well, and deletes their directories. The next measure starts
   * its own.
   */
  async reset(): Promise<void> {
    for (const contestants of [this.#pairs, this.#redis, this.#byHand]) contestants.clear();
    const broker = this.#broker;
    this.#broker = undefined;
    await killAll();
    // Who asked for a broker that did not start was told why.
    await (await broker?.catch(() => undefined))?.[Symbol.asyncDispose]();
    for (const name of readdirSync(this.#directory)) rmSync(join(this.#directory, name), { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reset();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #topic(): string {
    return `bench-${this.#topics++}`;
  }

  async #startByHand(shape: Shape, raw: boolean): Promise<KafkaByHand> {
    this.progress.tell('starts what is written by hand');
    const { address } = await this.broker();
    const pair = await KafkaByHand.start(address, this.#topic(), shape, raw);
    if (raw) await pair.sendToReceive(BARE_WARM_UP_MESSAGES, 1);
    else await pair.throughput(BY_HAND_WARM_UP_CHANGES);
    return pair;
  }

  async #startPair(shape: Shape, options: PairOptions = {}): Promise<Pair> {
    this.progress.tell('fills a pair');
    const pair = await Pair.startConnected(this.directory('pair'), shape, { profiles: this.options.profiles, ...options });
    await pair.throughput(WARM_UP_CHANGES);
    return pair;
  }

  async #startRedis(file: RedisFile, shape: Shape): Promise<RedisPair> {
    this.progress.tell(`fills Redis (file: ${file})`);
    const pair = await RedisPair.start(this.directory(`redis-${file}`), file, shape);
    await pair.connect();
    await pair.throughput(REDIS_WARM_UP_CHANGES);
    return pair;
  }
}

/** As the lab's pipeline does: the code of both sites is compiled by then. */
const WARM_UP_CHANGES = 300_000;
/** Its client is this process, whose code is compiled by then. */
const REDIS_WARM_UP_CHANGES = 100_000;
const BY_HAND_WARM_UP_CHANGES = 60_000;
const BARE_WARM_UP_MESSAGES = 500;

function remembered<T>(map: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
