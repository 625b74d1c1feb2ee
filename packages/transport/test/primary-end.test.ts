import { NO_CHAIN, sealFrame } from '@evertree/core';
import type { CloseReason, Hello, Message, Random, Report } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { EPOCH, POSITION, STREAM, frameOf, helloOf } from '../../../test/support/links.ts';
import { ManualClock } from '../../../test/support/host.ts';
import { readScripts } from '../../../test/support/scripts.ts';
import { BrokerError } from '../src/kafka/broker.ts';
import { decodeControl, encodeControl } from '../src/kafka/control.ts';
import type { Control } from '../src/kafka/control.ts';
import type { KafkaLimits } from '../src/kafka/options.ts';
import type { ReceivedRecord, SentRecord } from '../src/kafka/records.ts';
import type { Lane, PublishAction, PublishEvent } from '../src/kafka/publish/actions.ts';
import { LinkMemory } from '../src/kafka/publish/link-memory.ts';
import { PrimaryEnd } from '../src/kafka/publish/primary-end.ts';
import { publisherSettings } from '../src/kafka/publish/settings.ts';
import { TailSearch } from '../src/kafka/publish/tail.ts';
import { claimOf, recordOf, reignIn } from './topic-words.ts';

const OTHER = 'a'.repeat(16);
/** What `Counting` draws first: the link's own sign. */
const OWN = '01'.repeat(8);
const LIMITS: Partial<KafkaLimits> = {
  heartbeatMs: 1000,
  answerMs: 6000,
  writableBytes: 1000,
  bufferedBytes: 2000,
  watermarksMs: 400,
  snapshotBytes: 5000,
};
/** Draws 1, 2, 3 …, so that signs and ids are told apart. */
class Counting implements Random {
  #next = 0;

  bytes(length: number): Uint8Array {
    this.#next += 1;
    return Buffer.alloc(length, this.#next);
  }

  fraction(): number {
    return 0.5;
  }
}

const at = (revision: number) => ({ ...POSITION, revision });
const primary = (revision: number, stream: string | null) =>
  (helloOf('primary', { position: at(revision), stream }) as { hello: Hello }).hello;
const secondary = (site: string) => ({ ...(helloOf('secondary', { site }) as { hello: Hello }).hello, heartbeatMs: 1000 });
const headerAt = (revision: number) => ({
  stream: STREAM,
  position: at(revision),
  digest: 'f'.repeat(16),
  chain: NO_CHAIN,
  epochs: [EPOCH],
  marks: [],
  time: 7,
});

/** `higher`: of the next epoch; `leaving`: it has handed over. */
function rivalHello(word: string): Hello {
  const hello = { ...primary(5, STREAM), site: 'rival' };
  const next = { number: EPOCH.number + 1, id: 'e'.repeat(16), site: 'rival', base: at(4), reason: 'promotion', time: 1 };
  if (word === 'higher') return { ...hello, position: { epoch: next.number, epochId: next.id, revision: 5 }, epochs: [EPOCH, next] };
  return word === 'leaving' ? { ...hello, epochs: [{ ...EPOCH, end: { to: 'north', command: 'c' } }] } : hello;
}

/**
 * A record of the control topic: `site/a/replicate`, `position/a/7`, `want/a/7`, `snapshot/7/12`, `primary`,
 * `primary/own/12`, `null/a/want`, `role/a/north`, `claim/8e`, `claim/8e/12`.
 */
function controlOf(word: string): Control {
  const [kind, name = '', third = ''] = word.split('/');
  switch (kind) {
    case 'site': {
      const reason = third === 'snapshot' ? ({ code: 'retention-passed', text: 'late' } as const) : null;
      const closing = third === 'closing' ? { closing: { reason: 'going-away', explanation: 'bye' } as const } : {};
      const state = third === 'snapshot' ? 'snapshot' : 'replicate';
      return { kind, site: name, value: { hello: secondary(name), state, reason, ...closing } };
    }
    case 'position':
      return { kind, site: name, value: { applied: at(Number(third)), durable: at(Number(third)) } };
    case 'want':
      return { kind, site: name, value: { after: at(Number(third)), reason: { code: 'retention-passed', text: 'late' }, tried: null } };
    case 'snapshot':
      return {
        kind,
        value: { id: 'c'.repeat(16), header: headerAt(Number(name)), begin: '3', end: '5', chunks: 1, bytes: 9, follow: third },
      };
    case 'primary': {
      // `own`: what this site said in its life before, with the offset from which its epoch stood in the topic.
      const hello = name === 'own' ? { ...primary(5, STREAM), site: 'north' } : rivalHello(name);
      const claim = name === 'own' ? { claim: { ...reignIn('7'), offset: third } } : {};
      return { kind, value: { hello: { ...hello, heartbeatMs: 1000 }, partition: 0, ...claim } };
    }
    case 'claim':
      return { kind, site: 'rival', value: { ...claimOf(name, 'rival'), after: '0', offset: third === '' ? null : third } };
    case 'role':
      return { kind, site: third, value: { from: name, to: third, message: { kind: 'declined', command: 'c' } } };
    default:
      return { kind: third as 'want', site: name, value: null };
  }
}

/** The first frame of a site's epoch after the one here, or the handover that ends this one. */
function epochFrame(type: 'begin' | 'handover', revision: number, site: string): Message {
  const base = at(revision - 1);
  const isFirst = type === 'begin';
  const epoch = isFirst ? { epoch: 8, epochId: 'e'.repeat(16) } : { epoch: 7, epochId: POSITION.epochId };
  const note = isFirst ? { epoch: { site, reason: 'switchover' } } : { handover: { to: site, command: 'c' } };
  const body = Buffer.from(JSON.stringify({ ...note, changes: [{ time: 1, operations: [] }] }));
  const header = { codec: 'json', beginsEpoch: isFirst, endsEpoch: !isFirst, isMark: false, stream: STREAM, ...epoch, base } as const;
  const rest = { last: { ...epoch, revision }, digest: 'f'.repeat(16), firstTime: 1, lastTime: 1, count: 1, previous: NO_CHAIN };
  return { type: 'frame', bytes: sealFrame({ ...header, ...rest, bodyLength: body.length }, body).bytes };
}

function toldRecord(lane: Lane, { key, value, headers }: SentRecord): string {
  if (lane === 'frames') return `${headers['position']}${headers['part'] === undefined ? '' : ` (${headers['part']})`}`;
  if (headers['type'] !== undefined) return headers['type'];
  const { control } = decodeControl({ key, value, headers, offset: '0', timestamp: '0' });
  if (control.value === null) return `${String(key)} null`;
  if (control.kind === 'primary')
    return `primary ${control.value.hello.position.revision}${control.value.closing === undefined ? '' : ' closing'}`;
  return control.kind === 'snapshot' ? `snapshot ${control.value.header.position.revision} follow ${control.value.follow}` : String(key);
}

function toldMessage(message: Message): string {
  switch (message.type) {
    case 'hello':
      return `hello ${message.hello.stream === null ? 'empty' : message.hello.position.revision}${message.hello.fencedBy === undefined ? '' : ` led by ${message.hello.fencedBy.number}`}`;
    case 'acknowledge':
      return `acknowledge ${message.site} ${message.durable.revision}`;
    case 'reader':
      return `reader ${message.hello.site} ${message.hello.position.revision === POSITION.revision ? '' : message.hello.position.revision}${message.present ? 'present' : ' past'}`;
    case 'reader-resync':
      return `reader-resync ${message.site} ${message.reason.code}`;
    case 'reader-lost':
      return `reader-lost ${message.site} ${message.reason}`;
    case 'role':
      return `role ${message.from} ${message.message.kind}`;
    case 'reign-void':
      return `reign-void above ${message.above}`;
    case 'snapshot-wanted':
      return `snapshot-wanted ${message.id} ${message.reason.code}`;
    default:
      return message.type;
  }
}

function toldAction(action: PublishAction): string {
  switch (action.type) {
    case 'produce':
      return `> produce ${action.lane}: ${action.records.map(record => toldRecord(action.lane, record)).join(', ')}`;
    case 'read':
      return `> read ${action.task} ${action.from}-${action.to}`;
    case 'fetch-control':
      return `> fetch-control ${action.from} ${action.waitMs}`;
    case 'delete-snapshots':
      return `> delete-snapshots ${action.before}`;
    case 'hand':
      return `> hand ${toldMessage(action.message)}`;
    case 'end':
      return `> end ${action.reason}: ${action.explanation}`;
    default:
      return `> ${action.type}`;
  }
}

/** One link, as a script tells of it. */
class Script {
  #now = 0;
  #end: PrimaryEnd | undefined;
  #control = 0;
  #controlHigh = 0;
  readonly #reports: string[] = [];
  readonly #settings = publisherSettings({
    clock: new ManualClock(),
    random: new Counting(),
    report: ({ event, level }: Report) => void this.#reports.push(`! ${level} ${event}`),
    connection: { brokers: ['b:1'] },
    topic: 'T',
    site: 'north',
    partition: 0,
    key: 'k',
    limits: LIMITS,
  });
  readonly #memory = new LinkMemory(this.#settings);

  /** What follows a line, if every expectation in the script were what really happens. */
  line(line: string): string[] {
    const [type, ...words] = line.split(' ') as [string, ...string[]];
    if (type === 'topic') this.#begin(words);
    else if (line === 'watches') return [line, `> watch ${this.#end!.watchFrom ?? 'nothing'}`];
    else if (type === '=') return [this.#state()];
    else if (type === 'after') this.#now += Number(words[0]);
    else return [line, ...this.#step(this.#event(type, words))];
    return [line];
  }

  /** `topic LOW HIGH: records before HIGH; control LOW HIGH; retention BYTES` */
  #begin(words: readonly string[]): void {
    const given = words.join(' ');
    const [, low = '0', high = '0', records = ''] = /^(\d+) (\d+):?((?: (?:\d[\d@a-fz]*|\?|claim\/\w+)(?= |;|$))*)/.exec(given) ?? [];
    const [, controlLow = '0', controlHigh = '0'] = /control (\d+) (\d+)/.exec(given) ?? [];
    const retention = /retention (\d+)/.exec(given)?.[1];
    const search = new TailSearch(BigInt(low), BigInt(high));
    const found = records.split(' ').filter(Boolean);
    search.take(found.map((word, index) => recordOf(word, Number(high) - found.length + index)));
    this.#control = Number(controlLow);
    this.#controlHigh = Number(controlHigh);
    const facts = {
      messageBytes: { frames: 1_048_588, beside: 1_048_588 },
      retentionMs: undefined,
      retentionBytes: retention === undefined ? undefined : Number(retention),
    };
    const control = { low: BigInt(controlLow), high: BigInt(this.#controlHigh) };
    this.#end = new PrimaryEnd(this.#settings, { facts, search, control }, this.#memory, this.#now);
  }

  #state(): string {
    const { writable, wakeAt } = this.#end!;
    const due = wakeAt === Infinity ? 'never' : wakeAt <= this.#now ? 'now' : `in ${wakeAt - this.#now}`;
    return `= ${writable ? 'writable' : 'full'}, due ${due}`;
  }

  #step(event: PublishEvent): string[] {
    const actions = this.#end!.step(event, this.#now).map(toldAction);
    return [...this.#reports.splice(0), ...actions];
  }

  #event(type: string, words: readonly string[]): PublishEvent {
    const [first = '', second = ''] = words;
    switch (type) {
      case 'wake':
        this.#now = Math.max(this.#now, this.#end!.wakeAt);
        return { type: 'time' };
      case 'time':
        return { type };
      case 'close':
        return { type: 'closed', reason: first as CloseReason, explanation: 'so' };
      case 'stored':
        return { type, lane: first as Lane, offset: BigInt(second), time: this.#now };
      case 'watched':
        return { type, records: words.slice(1).map((word, index) => recordOf(word, Number(first) + index)) };
      case 'tail':
      case 'between':
      case 'beginning': {
        const [from, to] = first.split('-').map(Number) as [number, number];
        const records = words.slice(1).map((word, index) => recordOf(word, from + index));
        return { type: 'read', task: type, from: BigInt(from), to: BigInt(to), records, done: true };
      }
      case 'watermarks':
        return { type, found: { low: BigInt(first), high: BigInt(second) }, time: this.#now };
      case 'control':
        return { type, ...this.#fetched(words) };
      case 'failed':
      case 'not-deleted':
        return { type, error: new BrokerError('UNREACHABLE', words.join(' '), { lasting: false }) };
      default:
        return { type: 'sent', message: this.#message(type, words) };
    }
  }

  #fetched(words: readonly string[]): { records: ReceivedRecord[]; next: bigint } {
    const records = words.map((word): ReceivedRecord => {
      const [own, from] = word.split('@') as [string, string | undefined];
      const { key, value, headers } = encodeControl(controlOf(own), from === 'own' ? OWN : OTHER);
      return { key, value, headers, offset: String(this.#control++), timestamp: String(this.#now) };
    });
    return { records, next: BigInt(this.#control) };
  }

  #message(type: string, [first = '', second = '']: readonly string[]): Message {
    switch (type) {
      case 'hello':
        if (second === 'promoted') return { type, hello: { ...rivalHello('higher'), site: 'north' } };
        return { type, hello: first === 'new' ? primary(0, null) : primary(Number(first), second === 'other' ? OTHER + OTHER : STREAM) };
      case 'frame':
        return frameOf(Number(first), Number(second || '20'));
      case 'snapshot':
        return {
          type: 'snapshot-begin',
          header: headerAt(Number(first)),
          reason: { code: 'other', text: 'so' },
          ...(second === '' ? {} : { request: Number(second) }),
        };
      case 'chunk':
        return { type: 'snapshot-chunk', bytes: Buffer.alloc(Number(first)) };
      case 'end':
        return { type: 'snapshot-end', chunks: Number(first) };
      case 'forget':
        return { type, site: first };
      case 'say':
        return { type: 'role', from: 'north', to: first, message: { kind: 'withdraw', command: second } };
      case 'begin':
      case 'handover':
        return epochFrame(type, Number(first), second);
      default:
        throw new Error(`no such line: ${type}`);
    }
  }
}

describe("a primary's link to a topic", () => {
  it.each(readScripts(new URL('primary-end.txt', import.meta.url)))('%s', (_name, lines) => {
    const script = new Script();
    expect(lines.flatMap(line => (/^[>!]/.test(line) ? [] : script.line(line)))).toEqual(lines);
  });

  it('takes no message that a primary does not send', () => {
    const script = new Script();
    script.line('topic 0 0');
    script.line('hello 5');
    script.line('snapshot 5');
    expect(() => script.line('end 3')).toThrow(/0 chunks ends as one of 3/);
  });
});
