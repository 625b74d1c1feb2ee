import type { EpochName, Hello, Message, RoleMessage, Store, Transport } from '@evertree/core';
import { helloOf } from '@evertree/core';
import { claimTransport } from '@evertree/transport/kafka';
import type { MakeBroker } from '@evertree/transport/kafka';
import { vi, expect } from 'vitest';
import { systemClock, systemRandom } from './host.ts';
import { testedClient } from './kafka/client.ts';
import { SOON } from './topic-sites.ts';

type Frame = Extract<Message, { type: 'frame' }>;

/** A promotion's link to a topic, without the promotion: it asks, and takes the answers. */
export class Claimant implements AsyncDisposable {
  readonly #transport: Transport;
  readonly #received: Message[] = [];
  #say: (message: RoleMessage) => void = () => undefined;
  /** Why its link ended, or why there was none. */
  ended: string | undefined;

  private constructor(connect: MakeBroker, broker: string, topic: string, store: Store, raises: EpochName) {
    const { site, report } = store;
    const machine = { clock: systemClock, random: systemRandom, report };
    this.#transport = claimTransport({ ...machine, site, connection: { brokers: [broker] }, topic, partition: 0, key: 'k' }, connect);
    void this.#transport.open({
      link: link => {
        this.#say = message => link.send({ type: 'role', from: site, to: 'topic', message });
        link.attach({
          message: message => void this.#received.push(message),
          drained: () => undefined,
          closed: (reason, explanation) => void (this.ended = `${reason}: ${explanation}`),
        });
        link.send({ type: 'hello', hello: helloOf(store, { program: 'test', standby: true, advertised: undefined, raises }) });
      },
      failed: (_remote, error) => void (this.ended = error.message),
    });
  }

  /** @param store of the site that is to be promoted */
  static async ask(broker: string, topic: string, store: Store, raises: EpochName): Promise<Claimant> {
    return new Claimant(await testedClient(), broker, topic, store, raises);
  }

  /** The topic's hello. */
  async met(): Promise<Hello> {
    await vi.waitFor(() => expect(this.#received[0], this.ended).toMatchObject({ type: 'hello' }), SOON);
    return (this.#received[0] as Extract<Message, { type: 'hello' }>).hello;
  }

  /** Claims an epoch. @returns what the topic answers */
  async claim(epoch: EpochName): Promise<RoleMessage> {
    await this.met();
    return this.#ask({ kind: 'raise', epoch, epochs: [] });
  }

  /** @returns the frames up to a revision, or why they are not lent */
  async borrow(after: Hello['position'], revision: number): Promise<Frame[] | RoleMessage> {
    const before = this.#received.length;
    this.#say({ kind: 'lend', after });
    const since = () => this.#received.slice(before);
    const frames = () => since().filter(message => message.type === 'frame');
    await vi.waitFor(() => {
      const isRefused = since().some(({ type }) => type === 'role');
      expect(isRefused || frames().some(({ parsed }) => parsed?.header.last.revision === revision), this.ended).toBe(true);
    }, SOON);
    const [refusal] = since().filter(message => message.type === 'role');
    return refusal?.message ?? frames();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport.close();
  }

  async #ask(message: RoleMessage): Promise<RoleMessage> {
    const before = this.#received.length;
    this.#say(message);
    await vi.waitFor(() => expect(this.#received.length, this.ended).toBeGreaterThan(before), SOON);
    const answer = this.#received[before]!;
    if (answer.type !== 'role') throw new Error(`the topic answered with ${answer.type}`);
    return answer.message;
  }
}
