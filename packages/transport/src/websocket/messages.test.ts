import { isMarkName, NO_CHAIN, ORIGIN, REASON_CODES, sealFrame } from '@evertree/core';
import type { ExactPosition, Message } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMessage, encodeMessage, HEARTBEAT } from './messages.ts';

/**
 * PROTOCOL.md, version 4, byte by byte. Who has to change an expectation here changes the protocol: that needs a new
 * version, a line in its history, and both versions spoken from then on.
 */
const POSITION: ExactPosition = { epoch: 4, epochId: '00112233445566ff', revision: 0x0001_0203_0405 };
const POSITION_HEX = '0400000000112233445566ff0504030201000000';
const POSITION_JSON = '{"epoch":4,"epochId":"00112233445566ff","revision":4328719365}';
const ORIGIN_HEX = '0'.repeat(40);
const EPOCH = { number: 4, id: '00112233445566ff', site: 'north', base: ORIGIN, reason: 'created', time: 1_790_000_000_000 };
const EPOCH_JSON =
  '{"number":4,"id":"00112233445566ff","site":"north","base":{"epoch":0,"epochId":"0000000000000000","revision":0},"reason":"created","time":1790000000000}';
const MARK = { name: 'before upgrade', position: ORIGIN, markedAt: POSITION, time: 7, author: 'ann', message: 'we upgrade' };
const MARK_JSON = `{"name":"before upgrade","position":{"epoch":0,"epochId":"0000000000000000","revision":0},"markedAt":${POSITION_JSON},"time":7,"author":"ann","message":"we upgrade"}`;
const STREAM = '0123456789abcdef0123456789abcdef';
const FRAME = sealFrame(
  {
    codec: 'binary',
    beginsEpoch: false,
    endsEpoch: false,
    isMark: false,
    stream: STREAM,
    epoch: 4,
    epochId: POSITION.epochId,
    base: POSITION,
    last: { ...POSITION, revision: POSITION.revision + 1 },
    digest: 'f'.repeat(16),
    firstTime: 1,
    lastTime: 2,
    count: 1,
    previous: NO_CHAIN,
    bodyLength: 3,
  },
  Buffer.from('abc'),
).bytes;

const hex = (digits: number) => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: digits, maxLength: digits });
const json = (type: number, value: unknown) => Buffer.concat([Buffer.of(type), Buffer.from(JSON.stringify(value))]);

const NAME = { number: 5, id: '00000000000000aa' };

const golden: Record<string, { message: Message; bytes: Buffer }> = {
  hello: {
    message: {
      type: 'hello',
      hello: {
        protocols: [4],
        program: '0.1.0',
        site: 'nørth',
        role: 'primary',
        stream: STREAM,
        position: POSITION,
        digest: '89abcdef01234567',
        epochs: [EPOCH],
        durable: true,
        standing: 'fenced',
        fencedBy: { number: 5, id: '00000000000000aa', begun: false },
        standby: true,
        advertised: 'https://north.example:8181',
        catchesUp: true,
        raises: { number: 6, id: '00000000000000bb' },
      },
    },
    bytes: Buffer.from(
      `\u0001{"protocols":[4],"program":"0.1.0","site":"nørth","role":"primary","stream":"${STREAM}","position":${POSITION_JSON},"digest":"89abcdef01234567","epochs":[${EPOCH_JSON}],"durable":true,"standing":"fenced","fencedBy":{"number":5,"id":"00000000000000aa","begun":false},"standby":true,"advertised":"https://north.example:8181","catchesUp":true,"raises":{"number":6,"id":"00000000000000bb"},"heartbeatMs":2000}`,
    ),
  },
  acknowledge: {
    message: { type: 'acknowledge', site: 'nørth', applied: POSITION, durable: ORIGIN },
    bytes: Buffer.from('03' + POSITION_HEX + ORIGIN_HEX + '6ec3b8727468', 'hex'),
  },
  resend: { message: { type: 'resend', after: POSITION }, bytes: Buffer.from('04' + POSITION_HEX, 'hex') },
  'history-begins': {
    message: {
      type: 'history-begins',
      base: ORIGIN,
      epochs: [EPOCH],
      last: POSITION,
      reason: { code: 'retention-passed', text: 'too far behind' },
    },
    bytes: Buffer.from(
      `\n{"base":${JSON.stringify(ORIGIN)},"epochs":[${EPOCH_JSON}],"last":${POSITION_JSON},"reason":{"code":"retention-passed","text":"too far behind"}}`,
    ),
  },
  'snapshot-begin': {
    message: {
      type: 'snapshot-begin',
      header: { stream: STREAM, position: POSITION, digest: '89abcdef01234567', chain: NO_CHAIN, epochs: [EPOCH], marks: [MARK], time: 7 },
      reason: { code: 'retention-passed', text: 'too far behind' },
    },
    bytes: Buffer.from(
      `\u0005{"header":{"stream":"${STREAM}","position":${POSITION_JSON},"digest":"89abcdef01234567","chain":"${NO_CHAIN}","epochs":[${EPOCH_JSON}],"marks":[${MARK_JSON}],"time":7},"reason":{"code":"retention-passed","text":"too far behind"}}`,
    ),
  },
  'snapshot-chunk': { message: { type: 'snapshot-chunk', bytes: Buffer.from('EVTF') }, bytes: Buffer.from('0645565446', 'hex') },
  'snapshot-end': { message: { type: 'snapshot-end', chunks: 0x0102_0304 }, bytes: Buffer.from('0704030201', 'hex') },
  frame: { message: { type: 'frame', bytes: FRAME }, bytes: Buffer.from(FRAME) },
  role: {
    message: { type: 'role', from: 'nørth', to: 'south', message: { kind: 'ask', command: 'c1' } },
    bytes: Buffer.from('\t{"from":"nørth","to":"south","message":{"kind":"ask","command":"c1"}}'),
  },
};

describe('the bytes of version 4', () => {
  test.for(Object.entries(golden))('%s', ([, { message, bytes }]) => {
    expect(encodeMessage(message, 2000).toString('latin1')).toBe(bytes.toString('latin1'));
    const expected = message.type === 'hello' ? { ...message, heartbeatMs: 2000 } : message;
    expect(decodeMessage(bytes)).toEqual(expected);
  });

  test('heartbeat', () => {
    expect(HEARTBEAT.toString('hex')).toBe('02');
    expect(decodeMessage(HEARTBEAT)).toEqual({ type: 'heartbeat' });
  });

  test('a frame is not copied, neither way', () => {
    expect(encodeMessage({ type: 'frame', bytes: FRAME }, 1).buffer).toBe(FRAME.buffer);
    const decoded = decodeMessage(Buffer.from(FRAME));
    expect(decoded.type === 'frame' && decoded.bytes.byteLength).toBe(FRAME.length);
  });
});

describe('any message', () => {
  const position = fc.record({ epoch: fc.nat(0xffff_ffff), epochId: hex(16), revision: fc.maxSafeNat() });
  const site = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter(text => Buffer.byteLength(text) <= 255 && !/\p{Cc}/u.test(text));
  const epoch = fc.record({ number: fc.nat(0xffff_ffff), id: hex(16), site, base: position, reason: fc.string(), time: fc.maxSafeNat() });
  const epochs = fc.array(epoch, { maxLength: 3 });
  const mark = fc.record(
    {
      name: fc
        .string({ unit: 'grapheme' })
        .map(text => `m${text}`)
        .filter(isMarkName),
      position,
      markedAt: position,
      time: fc.maxSafeNat(),
      author: fc.string({ unit: 'grapheme' }),
      message: fc.string({ unit: 'grapheme' }),
    },
    { requiredKeys: ['name', 'position', 'markedAt', 'time'] },
  );
  const marks = fc.array(mark, { maxLength: 3 });
  const header = fc.record({ stream: hex(32), position, digest: hex(16), chain: hex(64), epochs, marks, time: fc.maxSafeNat() });
  const reason = fc.record({ code: fc.constantFrom(...REASON_CODES), text: fc.string({ unit: 'grapheme' }) });
  const role = fc.constantFrom('primary', 'secondary');
  const hello = fc.record({
    protocols: fc.array(fc.nat(0xffff_ffff), { minLength: 1, maxLength: 5 }),
    program: site,
    site,
    role,
    stream: fc.option(hex(32)),
    position,
    digest: hex(16),
    epochs,
    durable: fc.boolean(),
    standing: fc.constantFrom('primary', 'secondary', 'fenced', 'handing-over'),
    standby: fc.boolean(),
    catchesUp: fc.boolean(),
  });
  const message: fc.Arbitrary<Message> = fc.oneof(
    fc.record({ type: fc.constant('hello' as const), hello }),
    fc.record({ type: fc.constant('acknowledge' as const), site, applied: position, durable: position }),
    fc.record({ type: fc.constant('resend' as const), after: position }),
    fc.record({ type: fc.constant('history-begins' as const), base: position, epochs, last: position, reason }),
    fc.record({ type: fc.constant('snapshot-begin' as const), header, reason }),
    fc.record({ type: fc.constant('snapshot-chunk' as const), bytes: fc.uint8Array({ minLength: 1 }).map(bytes => Buffer.from(bytes)) }),
    fc.record({ type: fc.constant('snapshot-end' as const), chunks: fc.nat(0xffff_ffff) }),
    fc.record({
      type: fc.constant('role' as const),
      from: site,
      to: site,
      message: fc.record({ kind: fc.constant('withdraw'), command: site }),
    }),
  ) as fc.Arbitrary<Message>;

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(message, fc.integer({ min: 20, max: 3_600_000 }), (written, heartbeatMs) => {
        const { heartbeatMs: told, ...read } = { heartbeatMs, ...decodeMessage(encodeMessage(written, heartbeatMs)) };
        expect(told).toBe(heartbeatMs);
        expect(read).toEqual(written);
      }),
    );
  });

  test('any bytes are read, or refused with an error of ours', () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.tuple(fc.integer({ min: 1, max: 10 }), fc.uint8Array()).map(([type, rest]) => Buffer.of(type, ...rest)),
      fc.uint8Array({ minLength: 120, maxLength: 140 }).map(rest => Buffer.concat([Buffer.from('EVTF\u0001\u0001'), rest])),
      fc.tuple(message, fc.nat(), fc.nat(255)).map(([each, at, byte]) => {
        const changed = Buffer.from(encodeMessage(each, 2000));
        changed[at % changed.length] = byte;
        return changed;
      }),
    );
    fc.assert(
      fc.property(bytes, each => {
        try {
          decodeMessage(Buffer.from(each));
        } catch (error) {
          expect(error).toMatchObject({ name: 'EvertreeError' });
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('malformed messages are refused', () => {
  const hello = JSON.parse(golden['hello']!.bytes.toString('utf8', 1)) as Record<string, unknown>;
  const begin = JSON.parse(golden['snapshot-begin']!.bytes.toString('utf8', 1)) as { header: object };
  const cases: Record<string, { bytes: Buffer; says: RegExp }> = {
    'nothing at all': { bytes: Buffer.alloc(0), says: /empty message/ },
    'an unknown type': { bytes: Buffer.of(11), says: /unknown type 11/ },
    'type 0': { bytes: Buffer.of(0), says: /unknown type 0/ },
    'a part inside a message': { bytes: Buffer.of(8, 0, 0), says: /unknown type 8/ },
    'a heartbeat with something behind it': { bytes: Buffer.of(2, 2), says: /heartbeat of 2 bytes/ },
    'an acknowledge without a site': { bytes: Buffer.concat([Buffer.of(3), Buffer.alloc(40)]), says: /acknowledge of 41 bytes/ },
    'an acknowledge with a long site': { bytes: Buffer.concat([Buffer.of(3), Buffer.alloc(40 + 256, 97)]), says: /acknowledge of 297/ },
    'an acknowledge whose site is no UTF-8': { bytes: Buffer.concat([Buffer.of(3), Buffer.alloc(40), Buffer.of(0xff)]), says: /UTF-8/ },
    'a resend that is short': { bytes: Buffer.of(4, 1, 2, 3), says: /resend of 4 bytes/ },
    'a revision above 2^53': { bytes: Buffer.concat([Buffer.of(4), Buffer.alloc(20, 0xff)]), says: /above 2\^53/ },
    'an empty chunk': { bytes: Buffer.of(6), says: /chunk is empty/ },
    'a snapshot-end that is long': { bytes: Buffer.of(7, 0, 0, 0, 0, 0), says: /snapshot-end of 6 bytes/ },
    'a hello that is no JSON': { bytes: Buffer.from('\u0001{'), says: /hello that is not JSON/ },
    'a hello in broken UTF-8': {
      bytes: Buffer.concat([Buffer.from('\u0001"'), Buffer.of(0xc3), Buffer.from('"')]),
      says: /not JSON in UTF-8/,
    },
    'a hello that is an array': { bytes: json(1, []), says: /hello whose content/ },
    'a hello without a site': { bytes: json(1, { ...hello, site: undefined }), says: /hello whose site/ },
    'a hello with an empty site': { bytes: json(1, { ...hello, site: '' }), says: /hello whose site/ },
    'a hello with a site of 256 bytes': { bytes: json(1, { ...hello, site: 'ä'.repeat(128) }), says: /255 bytes/ },
    'a hello whose site moves the cursor': { bytes: json(1, { ...hello, site: '\u001b[2J' }), says: /control characters/ },
    'a hello with another role': { bytes: json(1, { ...hello, role: 'tertiary' }), says: /hello whose role/ },
    'a hello with a short digest': { bytes: json(1, { ...hello, digest: 'ff' }), says: /hello whose digest is wrong: must be 16 hex/ },
    'a hello with a fractional revision': {
      bytes: json(1, { ...hello, position: { ...POSITION, revision: 1.5 } }),
      says: /hello whose position.revision/,
    },
    'a hello with too large an epoch': { bytes: json(1, { ...hello, position: { ...POSITION, epoch: 2 ** 32 } }), says: /position.epoch/ },
    'a hello that speaks no version': { bytes: json(1, { ...hello, protocols: [] }), says: /hello whose protocols/ },
    'a hello that wants a heartbeat every millisecond': { bytes: json(1, { ...hello, heartbeatMs: 1 }), says: /heartbeatMs/ },
    'a hello with another standing': { bytes: json(1, { ...hello, standing: 'deposed' }), says: /hello whose standing/ },
    'a hello whose fence does not say whether it was begun': {
      bytes: json(1, { ...hello, fencedBy: NAME }),
      says: /hello whose fencedBy.begun/,
    },
    'a hello that raises something else': { bytes: json(1, { ...hello, raises: 7 }), says: /hello whose raises/ },
    'a role that is no JSON': { bytes: Buffer.of(9), says: /role that is not JSON/ },
    'a role above 1 MiB': { bytes: Buffer.concat([Buffer.of(9), Buffer.alloc(1024 * 1024, 32)]), says: /role of 1048577 bytes/ },
    'a snapshot-begin without its chain': {
      bytes: json(5, { ...begin, header: { ...begin.header, chain: undefined } }),
      says: /snapshot-begin whose header.chain/,
    },
    'a snapshot-begin of version 3, without marks': {
      bytes: json(5, { ...begin, header: { ...begin.header, marks: undefined } }),
      says: /snapshot-begin whose header.marks/,
    },
    'a snapshot-begin with a mark of a name that can be read as a position': {
      bytes: json(5, { ...begin, header: { ...begin.header, marks: [{ ...MARK, name: '4-1201' }] } }),
      says: /snapshot-begin whose header.marks.0.name/,
    },
    'a snapshot-begin of version 1, whose reason is a sentence': {
      bytes: json(5, { ...begin, reason: 'too far behind' }),
      says: /snapshot-begin whose reason/,
    },
    'a frame that is only its magic': { bytes: Buffer.from('EVTF'), says: /not a frame/ },
    'a frame of another version': { bytes: Buffer.concat([Buffer.from('EVTF\u0009'), Buffer.alloc(140)]), says: /format version 9/ },
    'a frame cut short': { bytes: Buffer.from(FRAME.subarray(0, -1)), says: /says that it has 135 bytes and came with 134/ },
  };

  test.for(Object.entries(cases))('%s', ([, { bytes, says }]) => {
    expect(() => decodeMessage(bytes)).toThrow(says);
  });

  test('and no error repeats what the far end wrote as a value', () => {
    const secret = 'a value that was written into the tree';
    expect(() => decodeMessage(json(1, { ...hello, digest: secret }))).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining(secret) as unknown }),
    );
  });

  test('a reason with a code that a later version may know is taken as another one', () => {
    expect(decodeMessage(json(5, { ...begin, reason: { code: 'full-moon', text: 'why' } }))).toMatchObject({
      reason: { code: 'other', text: 'why' },
    });
  });

  test('a hello of version 2 is read, so that it can be refused by its version', () => {
    const { standing: _, fencedBy: __, standby: ___, advertised: ____, raises: _____, ...second } = hello;
    expect(decodeMessage(json(1, { ...second, protocols: [2] }))).toMatchObject({
      hello: { protocols: [2], standing: 'primary', standby: false },
    });
  });

  test('keys that a later version may add are left out', () => {
    expect(decodeMessage(json(1, { ...hello, later: 1 }))).toEqual(decodeMessage(golden['hello']!.bytes));
  });
});
