import { describe, expect, test } from 'vitest';
import { formatAddress, isLoopback } from './addresses.ts';

describe('isLoopback', () => {
  test.each([
    'localhost',
    'LocalHost',
    '127.0.0.1',
    '127.255.255.254',
    '127.0.0.0',
    '::1',
    '[::1]',
    '0:0:0:0:0:0:0:1',
    '0000:0000:0000:0000:0000:0000:0000:0001',
    '0::1',
    '::0:0:1',
    '::ffff:127.0.0.1',
    '::FFFF:127.8.9.10',
    '[::ffff:7f00:1]',
    '0:0:0:0:0:ffff:127.0.0.1',
  ])('%s is reached from this machine only', address => {
    expect(isLoopback(address)).toBe(true);
  });

  test.each([
    '',
    '0.0.0.0',
    '::',
    '128.0.0.1',
    '126.255.255.255',
    '127.0.0',
    '127.0.0.256',
    '127.0.0.01',
    '127.0.0.1.example.org',
    'example.org',
    'localhost.example.org',
    'xlocalhost',
    '::2',
    '1::1',
    '::ffff:128.0.0.1',
    '::ffff:8000:1',
    '1::ffff:127.0.0.1',
    '[127.0.0.1',
    '127.0.0.1\n',
  ])('%j may be reached from elsewhere', address => {
    expect(isLoopback(address)).toBe(false);
  });
});

describe('formatAddress', () => {
  test.each([
    ['127.0.0.1', 8181, '127.0.0.1:8181'],
    ['box.example.org', 1, 'box.example.org:1'],
    ['::1', 8181, '[::1]:8181'],
  ])('%s and %i', (host, port, text) => {
    expect(formatAddress(host, port)).toBe(text);
  });
});
