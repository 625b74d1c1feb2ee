import { isEvertreeError } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { readConfiguration } from './reading.ts';

const RIGHT = { 'consumer-address': 'b', 'consumer-port': 1 };

function problemWith(configuration: object): string {
  try {
    readConfiguration(configuration);
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return error.message;
    throw error;
  }
  return '';
}

describe('a key that is not known is met with what may be meant', () => {
  test.each<[string, object, string]>([
    ['a name of a kind of file', { 'netty-producer': RIGHT }, 'netty-producer is not known; did you mean "netty-connection"?'],
    ['that in camel case', { nettyProducer: RIGHT }, 'nettyProducer is not known; did you mean "netty-connection"?'],
    [
      'words of a key',
      { 'netty-connection': { ...RIGHT, 'retry-interval': 1 } },
      'retry-interval is not known; did you mean "connection-retry-interval-ms"? known here: "consumer-address", ',
    ],
    [
      'a word of several',
      { 'netty-connection': RIGHT, journal: { 'max-bytes': 1 } },
      'did you mean "retention-max-bytes" or "divergences-max-bytes"? known here: "encoding", ',
    ],
    [
      'a word of a section, where none tells the transport',
      { connection: {} },
      'connection is not known; did you mean "netty-connection" or "kafka-connection"? known here: "acknowledgement", ',
    ],
    ['no word of any', { 'netty-connection': { ...RIGHT, colour: 1 } }, 'colour is not known; known here: "consumer-address", '],
  ])('%s', (_what, configuration, expected) => {
    expect(problemWith(configuration)).toContain(expected);
  });
});
