import { join } from 'node:path';
import { isEvertreeError } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { readConfiguration, readPrimaryConfiguration } from './reading.ts';

const consumerFile = (address: string) => ({ 'netty-consumer': { 'listening-port': 1 }, 'advertised-http': address });
const producerFile = (port: number, address: string) => ({
  'netty-connection': { 'consumer-address': 'b', 'consumer-port': port },
  'advertised-http': address,
});

function problemsOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return error.message;
    throw error;
  }
  return '';
}

describe('"advertised-http"', () => {
  test.each([
    ['http://127.0.0.1:8181', 'http://127.0.0.1:8181'],
    ['HTTPS://Box-A.example:8443/', 'https://box-a.example:8443'],
    ['http://[::1]:8181', 'http://[::1]:8181'],
  ])('%s is taken as an origin', (address, advertised) => {
    expect(readConfiguration(consumerFile(address))).toMatchObject({ http: { advertised } });
  });

  test.each(['box-a:8181', 'ws://box-a:8181', 'http://box-a:8181/tree', 'http://box-a:8181/?a', 'http://u:p@box-a:8181', 'http://', ''])(
    '%j is refused',
    address => {
      expect(problemsOf(() => readConfiguration(consumerFile(address)))).toMatch(
        /advertised-http is .*; write where clients reach this site's HTTP: http:\/\/ or https:\/\/ with host and port, and no path/,
      );
    },
  );

  test('is absent unless it is given', () => {
    const sample = join(import.meta.dirname, '../../../../configs/nettyProducer.json');
    expect(readConfiguration(sample).http).not.toHaveProperty('advertised');
  });

  test('must agree in all files of a primary', () => {
    const [one, same, another] = [producerFile(1, 'http://a:1'), producerFile(2, 'http://a:1'), producerFile(2, 'http://a:2')];
    expect(readPrimaryConfiguration([one, same]).http.advertised).toBe('http://a:1');
    expect(problemsOf(() => readPrimaryConfiguration([one, another]))).toMatch(
      /^configuration 2: advertised-http differs from that in configuration 1/,
    );
  });
});
