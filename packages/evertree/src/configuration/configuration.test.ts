import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Role, isEvertreeError } from '@evertree/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfiguration, readConsumerConfiguration, readPrimaryConfiguration } from './reading.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evertree-configuration-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fileWith(text: string | Buffer): string {
  const file = join(folder, 'site.json');
  writeFileSync(file, text);
  return file;
}

/** The lines of the error, without the folder. */
function problemsWith(text: string | Buffer, role?: Role): string[] {
  return problemsOf(() => readConfiguration(fileWith(text), role));
}

function problemsOf(read: () => unknown): string[] {
  try {
    read();
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return error.message.replaceAll(`${folder}/`, '').split('\n');
    throw error;
  }
  return [];
}

const samples = join(import.meta.dirname, '../../../../configs');

describe('the four sample files', () => {
  test('nettyProducer.json', () => {
    expect(readConfiguration(join(samples, 'nettyProducer.json'))).toMatchObject({
      kind: 'netty-producer',
      connections: [{ address: '127.0.0.1', port: 9999, retryIntervalMs: 1000 }],
    });
  });

  test('nettyConsumer.json', () => {
    expect(readConfiguration(join(samples, 'nettyConsumer.json'))).toMatchObject({
      kind: 'netty-consumer',
      address: '127.0.0.1',
      port: 9999,
      autoRestart: false,
    });
  });

  test('kafkaProducer.json', () => {
    expect(readConfiguration(join(samples, 'kafkaProducer.json'))).toMatchObject({
      kind: 'kafka-producer',
      topic: 'testTopic1',
      partition: 0,
      key: 'testKey',
      connection: { brokers: ['127.0.0.1:9092'], tls: undefined, sasl: undefined },
      publish: { retries: 0, idempotent: false, lingerMs: 1, blockMs: 1000 },
    });
  });

  test('kafkaConsumer.json', () => {
    expect(readConfiguration(join(samples, 'kafkaConsumer.json'))).toMatchObject({
      kind: 'kafka-consumer',
      topic: 'testTopic1',
      connection: { brokers: ['127.0.0.1:9092'] },
      subscribe: { groupId: 'test', commitMs: 3000 },
    });
  });

  test.each([
    ['nettyProducer.json', 'secondary', 'netty-connection configures a primary, and this site is to be a secondary'],
    ['nettyConsumer.json', 'primary', 'netty-consumer configures a secondary, and this site is to be a primary'],
    ['kafkaConsumer.json', 'primary', 'kafka-consumer-properties configures a secondary'],
  ] as const)('%s is no file for a %s', (name, role, message) => {
    expect(problemsOf(() => readConfiguration(join(samples, name), role))[0]).toContain(message);
  });
});

describe("the ancestor's defaults", () => {
  test('topic, key and partition', () => {
    const connection = { 'kafka-connection': { 'kafka-host': 'broker', 'kafka-port': 9092 } };
    expect(readConfiguration(connection, 'primary')).toMatchObject({
      kind: 'kafka-producer',
      topic: 'DefaultTopic',
      key: 'DefaultKey',
      partition: 0,
      connection: { brokers: ['broker:9092'] },
      publish: { retries: 0, idempotent: false },
    });
    expect(readConfiguration(connection, 'secondary')).toMatchObject({
      kind: 'kafka-consumer',
      topic: 'DefaultTopic',
      subscribe: { groupId: 'test' },
    });
  });

  test('retry interval and auto restart', () => {
    expect(readConfiguration({ 'netty-connection': { 'consumer-address': 'b', 'consumer-port': 1 } })).toMatchObject({
      connections: [{ retryIntervalMs: 1000 }],
    });
    expect(readConsumerConfiguration({ 'netty-consumer': { 'listening-port': 1 } })).toMatchObject({ autoRestart: false });
  });

  test('the result is frozen whole', () => {
    const configuration = readPrimaryConfiguration(join(samples, 'nettyProducer.json'));
    expect(() => Object.assign(configuration.limits, { frameBytes: 1 })).toThrow(TypeError);
  });
});

const producer = (inner: string, outer = '') => `{\n  "netty-connection": {\n    ${inner}\n  }${outer}\n}`;
const consumer = (inner: string, outer = '') => `{\n  "netty-consumer": {\n    ${inner}\n  }${outer}\n}`;
const right = '"consumer-address": "b", "consumer-port": 1';

describe('what is wrong is told with file, line, column, key, what was found, and the remedy', () => {
  test.each<[string, string | Buffer, string]>([
    ['empty', '', 'site.json:1:1: is not JSON: value expected at the end of the line or file'],
    ['not an object', '[]', 'site.json:1:1: is an array; a configuration is an object with a section such as "netty-connection"'],
    ['a comma missing', '{\n"a": 1\n"b": 2}', 'site.json:3:1: is not JSON: comma expected at "\\"b\\""'],
    ['a comma too many', '{"a": 1,}', 'site.json:1:9: is not JSON: property name expected at "}"; remove the comma before }'],
    ['comments', '{} // mine', 'site.json:1:4: is not JSON: invalid comment token at "// mine"; JSON has no comments; remove it'],
    ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'site.json: is not UTF-8 text; save it as UTF-8'],
    ['too deep', '['.repeat(100_000), 'site.json:1:65: nests deeper than 64 levels; no configuration does'],
    ['no section', '{}', 'site.json:1:1: names no transport; add a section "netty-connection" or "netty-consumer" or "kafka-connection"'],
    ['a misspelt section', '{"netty-conection": {}}', 'site.json:1:2: netty-conection is not known; did you mean "netty-connection"?'],
    [
      'both transports',
      producer(right, ',\n"kafka-connection": {}'),
      'site.json:5:1: kafka-connection stands beside "netty-connection": one file is for one transport; keep one of the two',
    ],
    [
      'both roles',
      producer(right, ',\n"netty-consumer": {}'),
      "site.json:5:1: netty-consumer stands in a file for a primary, and is a secondary's; make two files",
    ],
    [
      'a key missing',
      producer('"consumer-address": "b"'),
      "site.json:2:3: netty-connection.consumer-port is missing; it is the consumer's port: a whole number from 1 to 65535",
    ],
    [
      'a misspelt key',
      producer(`${right}, "conection-retry-interval-ms": 1`),
      'site.json:3:50: netty-connection.conection-retry-interval-ms is not known; did you mean "connection-retry-interval-ms"?',
    ],
    [
      'a key of another section',
      producer(`${right}, "listening-port": 1`),
      'site.json:3:50: netty-connection.listening-port is not known; known here: "consumer-address", "consumer-port", "connection-retry-interval-ms", "tls", "auth"',
    ],
    [
      'a key at the wrong level',
      producer(right, ', "consumer-port": 1'),
      'site.json:4:6: consumer-port is not known; it belongs into "netty-connection"',
    ],
    [
      'a key that is like none',
      producer(right, ', "favourite-colour": 1'),
      'site.json:4:6: favourite-colour is not known; known here: "netty-connection", "acknowledgement", "tls", "auth", "http", "advertised-http", "limits", "journal", "archive"',
    ],
    [
      "a primary's key in a secondary's file",
      consumer('"listening-port": 1', ', "acknowledgement": {"secondaries": 1}'),
      "site.json:4:6: acknowledgement is not known; it belongs into the primary's file: move it there; where this site may become the primary, that is its --standby-config",
    ],
    [
      'a number as a string',
      producer('"consumer-address": "b", "consumer-port": "1"'),
      'site.json:3:30: netty-connection.consumer-port is "1"; write the consumer\'s port: a whole number from 1 to 65535',
    ],
    [
      'a port out of range',
      consumer('"listening-port": 65536'),
      'site.json:3:5: netty-consumer.listening-port is 65536; write the port to listen on: a whole number from 1 to 65535',
    ],
    [
      'a number that no double holds',
      consumer('"listening-port": 9007199254740993'),
      'site.json:3:5: netty-consumer.listening-port is 9007199254740993; write the port to listen on: a whole number from 1 to 65535',
    ],
    [
      'a number beyond all',
      consumer('"listening-port": 1e400'),
      'site.json:3:5: netty-consumer.listening-port is 1e400; write the port to listen on: a whole number from 1 to 65535',
    ],
    [
      'a fraction',
      consumer('"listening-port": 80.5'),
      'site.json:3:5: netty-consumer.listening-port is 80.5; write the port to listen on: a whole number from 1 to 65535',
    ],
    [
      'yes for true',
      consumer('"listening-port": 1, "enable-server-auto-restart": "yes"'),
      'site.json:3:26: netty-consumer.enable-server-auto-restart is "yes"; write true or false (without quotes)',
    ],
    [
      'null',
      consumer('"listening-port": null'),
      'site.json:3:5: netty-consumer.listening-port is null; write the port to listen on: a whole number from 1 to 65535',
    ],
    [
      'a key twice',
      consumer('"listening-port": 1,\n    "listening-port": 2'),
      'site.json:4:5: netty-consumer.listening-port stands twice (first on line 3); keep one of them',
    ],
    [
      'an address with a port',
      producer('"consumer-address": "b:1", "consumer-port": 1').replace('b:1', 'b:port'),
      'site.json:3:5: netty-connection.consumer-address is "b:port"; write the consumer\'s address: a host name or an IP address, without port',
    ],
    ['no connection', '{"netty-connection": []}', 'site.json:1:2: netty-connection is an array; write at least one connection'],
    [
      'a secondary twice',
      `{"netty-connection": [{${right}}, {${right}}]}`,
      'site.json:1:70: netty-connection.1 names b:1 again, as entry 0 does; keep one of them',
    ],
    [
      'an unknown choice',
      consumer('"listening-port": 1', ', "journal": { "encoding": "xml" }'),
      'site.json:4:19: journal.encoding is "xml"; write one of "binary", "json"',
    ],
    [
      'a token file that is missing',
      consumer('"listening-port": 1', ', "auth": { "token-file": "none" }'),
      'site.json:4:16: auth.token-file names "none", which does not exist (looked for at none)',
    ],
    [
      'a certificate without its key',
      consumer('"listening-port": 1', ', "tls": {}'),
      'site.json:4:6: tls.certificate is missing; whatever listens with TLS needs a certificate and its key',
    ],
  ])('%s', (_name, text, expected) => {
    expect(problemsWith(text)).toContain(expected);
  });

  test('a file that is missing, a directory, one that is too long', () => {
    expect(problemsOf(() => readConfiguration(join(folder, 'none.json')))).toEqual([
      'none.json: does not exist; the repository has samples in configs/',
    ]);
    mkdirSync(join(folder, 'directory.json'), { recursive: true });
    expect(problemsOf(() => readConfiguration(join(folder, 'directory.json')))).toEqual([
      'directory.json: is a directory; name a file in it',
    ]);
    expect(problemsWith(' '.repeat(1024 * 1024 + 1))).toEqual([
      'site.json: has 1048577 bytes; a configuration has at most 1048576. Is it another file?',
    ]);
  });

  test('every problem of a file at once, in the order of the file', () => {
    const text =
      '{\n"netty-consumer": { "listening-port": 0, "listening-address": "0.0.0.0", "tls": { "key": 1 } },\n"limitz": {},\n"journal": { "encoding": 7 }\n}';
    expect(problemsWith(text).map(line => line.replace(/;.*/, ''))).toEqual([
      'site.json:2:21: netty-consumer.listening-port is 0',
      'site.json:2:42: netty-consumer.listening-address is "0.0.0.0", which others can reach',
      'site.json:2:74: netty-consumer.tls.certificate is missing beside "key"',
      'site.json:2:83: netty-consumer.tls.key is 1',
      'site.json:3:1: limitz is not known',
      'site.json:4:14: journal.encoding is 7',
    ]);
  });

  test('a misspelt section hides no other problem: all problems, in it and outside of it, are reported together', () => {
    const text =
      '{\n"netty-conection": { "consumer-address": "b", "consumer-port": 0 },\n"limitz": { "frame-bytes": 1 },\n"journal": { "encodin": "json" }\n}';
    expect(problemsWith(text)).toEqual([
      'site.json:2:1: netty-conection is not known; did you mean "netty-connection"?',
      "site.json:2:47: netty-conection.consumer-port is 0; write the consumer's port: a whole number from 1 to 65535",
      'site.json:3:1: limitz is not known; did you mean "limits"?',
      'site.json:3:13: limitz.frame-bytes is 1; write the size at which a frame is cut in bytes: a whole number from 1024 to 16777216',
      'site.json:4:14: journal.encodin is not known; did you mean "encoding"?',
    ]);
  });

  test('without a transport, the other sections are checked all the same', () => {
    expect(problemsWith('{"journal": { "encoding": 7 }}')).toEqual([
      expect.stringContaining('names no transport'),
      'site.json:1:15: journal.encoding is 7; write one of "binary", "json"',
    ]);
  });

  test('an object given in code is checked like a file, without lines', () => {
    expect(problemsOf(() => readConsumerConfiguration({ 'netty-consumer': { 'listening-prt': 1 } }))).toEqual([
      'configuration: netty-consumer.listening-port is missing; it is the port to listen on: a whole number from 1 to 65535',
      'configuration: netty-consumer.listening-prt is not known; did you mean "listening-port"?',
    ]);
  });
});

const open = (more: string) => consumer(`"listening-port": 1, "listening-address": "0.0.0.0"${more}`);

describe('listening beyond loopback', () => {
  test('needs auth, and tls or "tls": "off" said aloud', () => {
    expect(problemsWith(open(''))).toEqual([
      expect.stringContaining('add "auth": { "token-file": "…" }'),
      expect.stringContaining('or "tls": "off" if the line is safe without'),
    ]);
    expect(problemsWith(open(', "tls": "off"'))).toEqual([expect.stringContaining('add "auth"')]);
  });

  test('is allowed with them, in the section or at the top', () => {
    writeFileSync(join(folder, 'token'), 'correct-horse\n');
    const expected = { address: '0.0.0.0', token: 'correct-horse', tls: 'off' };
    expect(readConfiguration(fileWith(open(', "tls": "off", "auth": { "token-file": "token" }')))).toMatchObject(expected);
    const top = consumer('"listening-port": 1, "listening-address": "0.0.0.0"', ', "tls": "off", "auth": { "token-file": "token" }');
    expect(readConfiguration(fileWith(top))).toMatchObject({ ...expected, http: { token: 'correct-horse', tls: 'off' } });
  });

  test('a token that is empty, short or has spaces is refused, and never shown', () => {
    for (const token of ['', 'short', 'with a space in it', 'secretsecret\nsecond line']) {
      writeFileSync(join(folder, 'token'), token);
      const [problem] = problemsWith(open(', "tls": "off", "auth": { "token-file": "token" }'));
      expect(problem).toContain('which holds no token');
      expect(problem).not.toContain('secretsecret');
    }
  });
});
