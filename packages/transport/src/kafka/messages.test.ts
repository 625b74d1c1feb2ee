import { FRAME_LIMIT_BYTES, NO_CHAIN, ORIGIN } from '@evertree/core';
import type { ExactPosition, Hello } from '@evertree/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeClaim, encodeClaim, isClaim, reignHeader, reignOf } from './claims/claim.ts';
import { decodeControl, encodeControl } from './control.ts';
import type { Control } from './control.ts';
import type { ReceivedRecord } from './records.ts';
import { ValueParts, splitValue } from './parts.ts';
import { decodeTrailer, encodeTrailer } from './trailer.ts';

/**
 * PROTOCOL.md, «Over Kafka», version 4, byte by byte. Who has to change an expectation here changes the protocol: that
 * needs a new version, a line in its history, and both versions spoken from then on.
 */
const FROM = '00112233aabbccdd';
const STREAM = '0123456789abcdef0123456789abcdef';
const POSITION: ExactPosition = { epoch: 4, epochId: '00112233445566ff', revision: 1201 };
const POSITION_JSON = '{"epoch":4,"epochId":"00112233445566ff","revision":1201}';
const EPOCH = { number: 4, id: '00112233445566ff', site: 'north', base: ORIGIN, reason: 'created', time: 1_790_000_000_000 };
const HELLO: Hello & { heartbeatMs: number } = {
  protocols: [4],
  program: '0.1.0',
  site: 'sø/th',
  role: 'secondary',
  stream: STREAM,
  position: POSITION,
  digest: '89abcdef01234567',
  epochs: [EPOCH],
  durable: true,
  standing: 'secondary',
  standby: true,
  heartbeatMs: 2000,
};
const HELLO_JSON =
  `{"protocols":[4],"program":"0.1.0","site":"sø/th","role":"secondary","stream":"${STREAM}","position":${POSITION_JSON},"digest":"89abcdef01234567",` +
  '"epochs":[{"number":4,"id":"00112233445566ff","site":"north","base":{"epoch":0,"epochId":"0000000000000000","revision":0},"reason":"created",' +
  '"time":1790000000000}],"durable":true,"standing":"secondary","standby":true,"heartbeatMs":2000}';
/** As it is announced: without the marks, which are in `.snapshot`. */
const HEADER = { stream: STREAM, position: POSITION, digest: '89abcdef01234567', chain: NO_CHAIN, epochs: [EPOCH], time: 7 };

const CLAIM = { epoch: { number: 5, id: FROM }, site: 'sø/th', stream: STREAM, time: 1_790_000_000_000 };
const CLAIM_JSON = `{"epoch":{"number":5,"id":"${FROM}"},"site":"sø/th","stream":"${STREAM}","time":1790000000000}`;

const golden: Record<string, { control: Control; key: string; value: string | null }> = {
  primary: {
    control: { kind: 'primary', value: { hello: HELLO, partition: 3 } },
    key: 'primary',
    value: `{"hello":${HELLO_JSON},"partition":3}`,
  },
  'primary whose reign stands in the topic': {
    control: { kind: 'primary', value: { hello: HELLO, partition: 3, claim: { number: 4, id: FROM, offset: '17' } } },
    key: 'primary',
    value: `{"hello":${HELLO_JSON},"partition":3,"claim":{"number":4,"id":"${FROM}","offset":"17"}}`,
  },
  'claim that is not written yet': {
    control: { kind: 'claim', site: 'sø/th', value: { ...CLAIM, after: '17', offset: null } },
    key: 'claim/sø/th',
    value: `${CLAIM_JSON.slice(0, -1)},"after":"17","offset":null}`,
  },
  'claim that stands': {
    control: { kind: 'claim', site: 'sø/th', value: { ...CLAIM, after: '17', offset: '19' } },
    key: 'claim/sø/th',
    value: `${CLAIM_JSON.slice(0, -1)},"after":"17","offset":"19"}`,
  },
  'primary that closes': {
    control: { kind: 'primary', value: { hello: HELLO, partition: 0, closing: { reason: 'going-away', explanation: 'it stops' } } },
    key: 'primary',
    value: `{"hello":${HELLO_JSON},"partition":0,"closing":{"reason":"going-away","explanation":"it stops"}}`,
  },
  snapshot: {
    control: {
      kind: 'snapshot',
      value: { id: FROM, header: HEADER, begin: '7', end: '9', chunks: 1, bytes: 99, follow: '9007199254740993' },
    },
    key: 'snapshot',
    value: `{"id":"${FROM}","header":${JSON.stringify(HEADER)},"begin":"7","end":"9","chunks":1,"bytes":99,"follow":"9007199254740993"}`,
  },
  site: {
    control: {
      kind: 'site',
      site: 'sø/th',
      value: { hello: HELLO, state: 'snapshot', reason: { code: 'retention-passed', text: 'too far behind' } },
    },
    key: 'site/sø/th',
    value: `{"hello":${HELLO_JSON},"state":"snapshot","reason":{"code":"retention-passed","text":"too far behind"}}`,
  },
  'site taken back': { control: { kind: 'site', site: 'south', value: null }, key: 'site/south', value: null },
  role: {
    control: { kind: 'role', site: 'sø/th', value: { from: 'south', to: 'sø/th', message: { kind: 'withdraw', command: 'c1' } } },
    key: 'role/sø/th',
    value: '{"from":"south","to":"sø/th","message":{"kind":"withdraw","command":"c1"}}',
  },
  position: {
    control: { kind: 'position', site: 'south', value: { applied: POSITION, durable: ORIGIN } },
    key: 'position/south',
    value: `{"applied":${POSITION_JSON},"durable":{"epoch":0,"epochId":"0000000000000000","revision":0}}`,
  },
  want: {
    control: { kind: 'want', site: 'south', value: { after: POSITION, reason: { code: 'frames-missing', text: 'a gap' }, tried: null } },
    key: 'want/south',
    value: `{"after":${POSITION_JSON},"reason":{"code":"frames-missing","text":"a gap"},"tried":null}`,
  },
};

function received(key: string | null, value: string | Buffer | null, headers: Record<string, string> = { from: FROM }): ReceivedRecord {
  return {
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers,
    offset: '12',
    timestamp: '0',
  };
}

describe('a record of .control', () => {
  test.for(Object.entries(golden))('%s is written and read as the protocol says', ([, { control, key, value }]) => {
    const sent = encodeControl(control, FROM);
    expect(String(sent.key)).toBe(key);
    expect(sent.value === null ? null : sent.value.toString()).toBe(value);
    expect(sent.headers).toEqual({ evertree: '4', from: FROM });
    expect(decodeControl(received(key, value))).toEqual({ control, from: FROM });
  });

  test('of a later version may say more', () => {
    const { key, value, control } = golden['position']!;
    expect(decodeControl(received(key, value!.replace('{', '{"later":1,'))).control).toEqual(control);
  });

  test('with a close reason of a later version closes as lost', () => {
    const { key, value, control } = golden['primary that closes']!;
    const later = decodeControl(received(key, value!.replace('going-away', 'bored'))).control;
    expect(later).toEqual({ ...control, value: { ...control.value, closing: { reason: 'lost', explanation: 'it stops' } } });
  });

  test('with a reason code of a later version has the code `other`', () => {
    const { key, value, control } = golden['want']!;
    const later = decodeControl(received(key, value!.replace('frames-missing', 'full-moon'))).control;
    expect(later).toEqual({ ...control, value: { ...control.value, reason: { code: 'other', text: 'a gap' } } });
  });

  test('of a secondary of version 1, with a sentence as its reason, is read, so that its hello can be refused', () => {
    const value = `{"hello":${HELLO_JSON.replace('"protocols":[4]', '"protocols":[1]')},"state":"snapshot","reason":"too far behind"}`;
    expect(decodeControl(received('site/b', value)).control).toMatchObject({ value: { hello: { protocols: [1] }, reason: null } });
  });

  test('of an end of version 2, which had neither a standing nor what follows it, is read, so that its hello can be refused', () => {
    const old = HELLO_JSON.replace('"protocols":[4]', '"protocols":[2]').replace('"standing":"secondary","standby":true,', '');
    expect(old).not.toContain('stand');
    const hello = { protocols: [2], standing: 'secondary', standby: false };
    const reason = { code: 'frames-missing', text: 'a gap' };
    const site = `{"hello":${old},"state":"snapshot","reason":${JSON.stringify(reason)}}`;
    expect(decodeControl(received('site/b', site)).control).toMatchObject({ value: { hello, reason } });
    expect(decodeControl(received('primary', `{"hello":${old},"partition":0}`)).control).toMatchObject({ value: { hello } });
  });

  test.for<[string, ReceivedRecord]>([
    ['of no known key', received('else', '{}')],
    ['without a key', received(null, '{}')],
    ['that is no JSON', received('primary', '{')],
    ['that lacks what it must have', received('primary', '{"partition":0}')],
    ['with a number that is too large', received('position/s', golden['position']!.value!.replace('1201', '1e17'))],
    ['taken back that can not be', received('primary', null)],
    ['whose offset is none', received('snapshot', golden['snapshot']!.value!.replace('"7"', '"-7"'))],
  ])('%s is refused', ([, record]) => {
    expect(() => decodeControl(record)).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
  });
});

describe('a claim', () => {
  test('is written and read as the protocol says', () => {
    const { key, value, headers, timestamp } = encodeClaim(CLAIM, Buffer.from('k'));
    expect([String(key), String(value), timestamp]).toEqual(['k', CLAIM_JSON, '1790000000000']);
    expect(headers).toEqual({ evertree: '4', type: 'claim', claim: `5 ${FROM}` });
    const record = received('k', CLAIM_JSON, { ...headers });
    expect(isClaim(record)).toBe(true);
    expect(decodeClaim(record)).toEqual(CLAIM);
    expect(isClaim(received('k', CLAIM_JSON, {}))).toBe(false);
  });

  test('that is none is refused', () => {
    for (const value of [null, '{}', CLAIM_JSON.replace('5', '-5')]) {
      expect(() => decodeClaim(received('k', value))).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
    }
  });
});

describe('the reign of a record', () => {
  test('is what its header says', () => {
    expect(reignHeader({ number: 4, id: FROM })).toEqual({ claim: `4 ${FROM}` });
    expect(reignOf(received(null, 'x', { claim: `4 ${FROM}` }))).toEqual({ number: 4, id: FROM });
  });

  test.for(['', '4', `4 ${FROM}0`, `-4 ${FROM}`, `4  ${FROM}`])('is not %j', text => {
    expect(reignOf(received(null, 'x', { claim: text }))).toBeUndefined();
  });
});

/** A part as it is read. */
const part = (header: string, bytes: string, offset: number) =>
  ({ ...received(null, bytes, { part: header }), offset: String(offset) }) as ReceivedRecord & { value: Buffer };
const whole = (bytes: string, offset: number) =>
  ({ ...received(null, bytes, {}), offset: String(offset) }) as ReceivedRecord & { value: Buffer };

describe('a value in parts', () => {
  const value = Buffer.from('0123456789');
  test('has headers as the protocol says, and none when it fits', () => {
    expect([...splitValue(value, 4)].map(({ value: piece, part: header }) => [piece.toString(), header])).toEqual([
      ['0123', '0/3/10'],
      ['4567', '1/3/10'],
      ['89', '2/3/10'],
    ]);
    expect([...splitValue(value, 10)]).toEqual([{ value, part: undefined }]);
  });

  test('is put together again, whatever the sizes, and has the offset of its first part', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.integer({ min: 1, max: 50 }), (bytes, size) => {
        const assembly = new ValueParts(() => expect.unreachable());
        const pieces = [...splitValue(Buffer.from(bytes), size)];
        const found = pieces.map(({ value: piece, part: header }, index) =>
          assembly.take({
            key: null,
            value: piece,
            offset: String(5 + index),
            timestamp: '0',
            headers: header === undefined ? {} : { part: header },
          }),
        );
        expect(found.slice(0, -1).every(each => each === undefined)).toBe(true);
        expect(found.at(-1)).toEqual({ value: Buffer.from(bytes), offset: '5' });
      }),
    );
  });

  const strange: string[] = [];
  const assembly = new ValueParts((offset, why) => strange.push(`${offset}: ${why}`));
  const take = (record: ReceivedRecord & { value: Buffer }) => assembly.take(record)?.value.toString();

  test.for<[string, (ReceivedRecord & { value: Buffer })[], (string | undefined)[], number]>([
    ['torn, and begun again', [part('0/2/4', 'ab', 1), part('0/2/4', 'ab', 2), part('1/2/4', 'cd', 3)], [undefined, undefined, 'abcd'], 0],
    ['torn by a whole one', [part('0/2/4', 'ab', 1), whole('xy', 2), part('1/2/4', 'cd', 3)], [undefined, 'xy', undefined], 1],
    ['with a part missing', [whole('x', 0), part('0/3/6', 'ab', 1), part('2/3/6', 'ef', 2)], ['x', undefined, undefined], 1],
    ['with a part of another', [whole('x', 0), part('0/2/4', 'ab', 1), part('1/2/5', 'cde', 2)], ['x', undefined, undefined], 1],
    ['longer than it says', [whole('x', 0), part('0/2/3', 'ab', 1), part('1/2/3', 'cd', 2)], ['x', undefined, undefined], 1],
    ['beyond the limit', [whole('x', 0), part(`0/2/${FRAME_LIMIT_BYTES + 1}`, 'ab', 1)], ['x', undefined], 1],
    ['with a header that is none', [whole('x', 0), part('0/0x2/4', 'ab', 1)], ['x', undefined], 1],
    ['whose beginning lies before where reading began', [part('1/2/4', 'cd', 1), whole('x', 2)], [undefined, 'x'], 0],
  ])('%s makes nothing wrong', ([, records, expected, told]) => {
    strange.length = 0;
    assembly.reset();
    expect(records.map(take)).toEqual(expected);
    expect(strange.length, strange.join()).toBe(told);
    // Whatever came before, the next whole frame is read.
    expect(take(whole('next', 99))).toBe('next');
  });
});

describe('the trailer of a frame', () => {
  test('is the text that the protocol says', () => {
    const place = { topic: 'a.Topic_1-x', partition: 2, offset: '9007199254740993' };
    expect(encodeTrailer(place).toString()).toBe('kafka 2 9007199254740993 a.Topic_1-x');
    expect(decodeTrailer(encodeTrailer(place))).toEqual(place);
  });

  test.for(['', 'kafka', 'kafka x 1 t', 'websocket 1 2 t', 'kafka 1 2 t t', 'kafka 1 2 t\n'])('%j is none', text => {
    expect(decodeTrailer(Buffer.from(text))).toBeUndefined();
  });
});
