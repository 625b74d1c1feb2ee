import { ORIGIN, PROTOCOL_VERSIONS } from '@evertree/core';
import type { CloseReason, ExactPosition, FrameHeader, Hello, Reason } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/host.ts';
import { readScripts } from '../../../test/support/scripts.ts';
import type { PositionRecord, RoleRecord, SiteRecord, SnapshotRecord, WantRecord } from '../src/kafka/control.ts';
import type { SentRecord } from '../src/kafka/records.ts';
import type { HeardPrimary } from '../src/kafka/subscribe/control-view.ts';
import type { SubscribeAction, SubscribeEvent } from '../src/kafka/subscribe/actions.ts';
import { SecondaryEnd } from '../src/kafka/subscribe/secondary-end.ts';
import { subscriberSettings } from '../src/kafka/subscribe/settings.ts';
import { encodeTrailer } from '../src/kafka/trailer.ts';

const SETTINGS = subscriberSettings({
  clock: new ManualClock(),
  random: { bytes: length => new Uint8Array(length), fraction: () => 0.5 },
  report: () => undefined,
  connection: { brokers: [] },
  topic: 'T',
  site: 's',
  groupId: 'g',
  limits: { heartbeatMs: 1000, acknowledgeMs: 20, retryMs: 100 },
});
const STREAM = 'aa'.repeat(16);
const EPOCH_ID = '11'.repeat(8);

/** The table of epochs that every primary has here. */
const EPOCH = { number: 7, id: EPOCH_ID, site: 'n', base: ORIGIN, reason: 'promotion', time: 0 };

function at(revision: string | undefined): ExactPosition {
  return revision === '0' ? ORIGIN : { epoch: 7, epochId: EPOCH_ID, revision: Number(revision) };
}

function headerOf(range: string): FrameHeader {
  const [base, last] = range.split('-');
  const header = {
    codec: 'binary',
    beginsEpoch: false,
    endsEpoch: false,
    isMark: false,
    stream: STREAM,
    epoch: 7,
    epochId: EPOCH_ID,
  } as const;
  return {
    ...header,
    digest: '',
    previous: '',
    base: at(base),
    last: at(last),
    firstTime: 0,
    lastTime: Number(last),
    count: 1,
    bodyLength: 0,
  };
}

function helloOf(site: string, position: ExactPosition, stream: string | null = STREAM): Hello {
  const role = site === 'n' ? 'primary' : 'secondary';
  const is = { site, role, standing: role, standby: false, durable: true } as const;
  return { protocols: PROTOCOL_VERSIONS, program: 't', ...is, stream, position, digest: '', epochs: [] };
}

/** The value of a named word: `word('frame 1-2 at 5', 'at')` is 5. */
function word(line: string, name: string): string | undefined {
  return new RegExp(` ${name} (\\S+)`).exec(line)?.[1];
}

function primaryOf(line: string): HeardPrimary {
  const closing = word(line, 'closing') as CloseReason | undefined;
  const hello = { ...helloOf('n', at(word(line, 'at') ?? '199')), site: word(line, 'site') ?? 'n', heartbeatMs: 1000, epochs: [EPOCH] };
  const record = { hello, partition: 0, ...(closing && { closing: { reason: closing, explanation: 'bye' } }) };
  return { record, from: word(line, 'from') ?? 'p', saidAt: 0 };
}

function snapshotOf(line: string): SnapshotRecord {
  const id = line.split(' ')[1]!;
  const epoch = word(line, 'epoch');
  const position = { ...at(word(line, 'at')), ...(epoch === undefined ? {} : { epoch: Number(epoch), epochId: '66'.repeat(8) }) };
  const header = { stream: STREAM, position, digest: '', chain: '', epochs: [], time: 0 };
  return { id, header, begin: word(line, 'begin') ?? '0', end: '9', chunks: 1, bytes: 1, follow: word(line, 'follow') ?? '0' };
}

function greetedBy(line: string): SubscribeEvent {
  const revision = line.split(' ')[1];
  const known = word(line, 'known');
  const time = word(line, 'time');
  const trailer = known === undefined ? undefined : encodeTrailer({ topic: word(line, 'topic') ?? 'T', partition: 0, offset: known });
  const catchesUp = line.endsWith('catches up') ? { catchesUp: true } : {};
  const hello = { ...helloOf('s', at(revision), revision === '0' ? null : STREAM), ...catchesUp };
  return { type: 'greeted', hello, resume: { trailer, time: time === undefined ? undefined : Number(time) } };
}

function eventOf(line: string): SubscribeEvent {
  const [type, first, second, third] = line.split(' ') as [SubscribeEvent['type'], ...string[]];
  switch (type) {
    case 'greeted':
      return greetedBy(line);
    case 'bounds':
      return { type, low: BigInt(first!), high: BigInt(second!), byTime: third === undefined ? undefined : BigInt(third) };
    case 'looked':
      return { type, header: first === 'nothing' ? undefined : headerOf(first!) };
    case 'frame':
      return { type, frame: { header: headerOf(first!), bytes: new Uint8Array() }, offset: word(line, 'at')!, end: word(line, 'at')! };
    case 'fetched':
      return { type, from: BigInt(first!), next: BigInt(second!), high: BigInt(third!) };
    case 'snapshots-begin':
      return { type, low: BigInt(first!) };
    case 'spoilt':
    case 'send-failed':
    case 'commit-failed':
      return { type, why: line.slice(type.length + 1) };
    case 'acknowledged':
      return { type, applied: at(first), durable: at(second) };
    case 'resend':
      return { type, after: at(first) };
    case 'heard':
      return { type, primary: primaryOf(line) };
    case 'claimed': {
      const epoch = { number: Number(first), id: 'c'.repeat(16) };
      const [after, offset = null] = second!.split('@') as [string, string?];
      return { type, claim: { epoch, site: 'other', stream: STREAM, time: 1, after, offset } };
    }
    case 'announced':
      return { type, snapshot: snapshotOf(line) };
    case 'said':
      return { type, role: { from: 's', to: first!, message: { kind: 'declined', command: second! } } };
    case 'closed':
      return { type, reason: first as CloseReason, explanation: 'no' };
    case 'committed':
      return { type, offset: BigInt(first!) };
    default:
      return { type };
  }
}

function toldReason({ code, text }: Reason): string {
  return `${code}: ${text}`;
}

/** What a record in `.control` says. */
function told({ key, value }: SentRecord): string {
  const [name, to] = String(key).split('/');
  const content: unknown = value === null ? null : JSON.parse(String(value));
  if (content === null) return `${name} none`;
  if (name === 'role') {
    const { message } = content as RoleRecord;
    return `role to ${to}: ${message.kind}${'command' in message ? ` ${message.command}` : ''}`;
  }
  if (name === 'position') {
    const { applied, durable } = content as PositionRecord;
    return `${name} ${applied.revision} ${durable.revision}`;
  }
  if (name === 'want') {
    const { after, reason, tried } = content as WantRecord;
    return `${name} after ${after.revision}, tried ${tried ?? 'none'}, ${toldReason(reason)}`;
  }
  const { state, reason, closing } = content as SiteRecord;
  return [
    name,
    state,
    ...(reason === null ? [] : [toldReason(reason)]),
    ...(closing === undefined ? [] : ['closing', closing.reason]),
  ].join(' ');
}

function toldAction(action: SubscribeAction): string {
  switch (action.type) {
    case 'locate':
      return action.time === undefined ? '> locate' : `> locate ${action.time}`;
    case 'look':
      return `> look ${action.offset}${action.claimsFrom === undefined ? '' : `, claims from ${action.claimsFrom}`}`;
    case 'seek':
    case 'commit':
      return `> ${action.type} ${action.offset}`;
    case 'offer':
      return `> offer from ${action.base.revision}, ${toldReason(action.reason)}`;
    case 'copy':
      return `> copy ${action.snapshot.id}, ${toldReason(action.reason)}`;
    case 'send':
      return `> send ${action.records.map(told).join('; ')}`;
    case 'send-in':
      return `> send-in ${action.ms}`;
    case 'report':
      return `> report ${action.report.event}: ${action.report.message}`;
    case 'end':
      return `> end ${action.byPeer ? 'there' : 'here'} ${action.reason}: ${action.explanation}`;
    default:
      return `> ${action.type}`;
  }
}

/** What the script would be if every expectation in it were what really happens. */
function run(script: readonly string[]): string[] {
  const given = (name: string) => script.find(line => line.startsWith(`${name} `));
  const announced = given('snapshot');
  const spoilt = new Set(given('spoilt-before')?.split(' ').slice(1));
  const snapshot = announced === undefined ? undefined : snapshotOf(announced);
  const end = new SecondaryEnd(SETTINGS, { primary: primaryOf(given('primary') ?? 'primary'), snapshot, claims: [], spoilt });
  let now = 0;
  return script.flatMap(line => {
    if (line.startsWith('>')) return [];
    if (line.startsWith('=')) {
      return [`= ${end.caughtUp ? 'caught-up' : 'reading'} ${end.accepting ? 'accepting' : 'waiting'} ${end.carried ? 'carried' : '-'}`];
    }
    if (/^(?:primary|snapshot|spoilt-before) /.test(line)) return [line];
    if (line.startsWith('after ')) now += Number(line.slice('after '.length));
    if (line.startsWith('after ')) return [line];
    if (line === 'last records') return [line, `> send ${end.lastRecords().map(told).join('; ')}`];
    return [line, ...end.step(eventOf(line), now).map(toldAction)];
  });
}

describe("the secondary's end of a topic", () => {
  it.each(readScripts(new URL('secondary-end.txt', import.meta.url)))('%s', (_name, script) => {
    expect(run(script)).toEqual(script);
  });
});
