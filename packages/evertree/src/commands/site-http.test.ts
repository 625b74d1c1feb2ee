import { describe, expect, test } from 'vitest';
import { readConsumerConfiguration, readPrimaryConfiguration } from '../configuration/reading.ts';
import { joinRoles } from '../configuration/joining.ts';
import type { RoleConfigurations } from '../configuration/configuration.ts';
import { reachableAddress, withAdvertised } from './site-http.ts';

const producer = (host: string) => readPrimaryConfiguration({ 'netty-connection': { 'consumer-address': host, 'consumer-port': 1 } });
const topic = (host: string) =>
  readConsumerConfiguration({ 'kafka-connection': { 'kafka-host': host, 'kafka-port': 1 }, 'kafka-consumer-properties': {} });
const consumer = readConsumerConfiguration({ 'netty-consumer': { 'listening-port': 1 } });

function addressOf(host: string, configurations: RoleConfigurations): string | undefined {
  return reachableAddress({ host, port: 8181 }, joinRoles(Object.values(configurations)), configurations);
}

describe('the address at which clients reach a site that does not say it', () => {
  test.each<[string, string, RoleConfigurations, string | undefined]>([
    ['all on this machine', '127.0.0.1', { primary: producer('localhost'), standby: consumer }, 'http://127.0.0.1:8181'],
    ['IPv6', '::1', { standby: consumer }, 'http://[::1]:8181'],
    ['a broker on this machine', '127.0.0.1', { standby: topic('127.0.0.1') }, 'http://127.0.0.1:8181'],
    ['a broker elsewhere', '127.0.0.1', { standby: topic('broker-1') }, undefined],
    ['a secondary elsewhere', '127.0.0.1', { primary: producer('box-b'), standby: consumer }, undefined],
    ['an address of this machine', '10.0.0.7', { primary: producer('box-b') }, 'http://10.0.0.7:8181'],
    ['every address of this machine', '0.0.0.0', { primary: producer('box-b') }, undefined],
  ])('%s', (_name, host, configurations, address) => {
    expect(addressOf(host, configurations)).toBe(address);
  });

  test('is none without HTTP', () => {
    expect(reachableAddress('off', joinRoles([consumer]), { standby: consumer })).toBeUndefined();
  });

  test('is told by both roles', () => {
    const told = withAdvertised({ primary: producer('box-b'), standby: consumer }, 'http://a:1');
    expect([told.primary?.http.advertised, told.standby?.http.advertised]).toEqual(['http://a:1', 'http://a:1']);
  });
});
