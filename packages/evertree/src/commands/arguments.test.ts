import { describe, expect, test } from 'vitest';
import { targetOf } from '../client/site-client.ts';
import {
  addressArgument,
  checkHttpPort,
  directoryArgument,
  pathArgument,
  secondsArgument,
  siteArgument,
  urlArgument,
} from './arguments.ts';
import { UsageError } from './exit-status.ts';

describe('arguments', () => {
  test.each([
    ['127.0.0.1:8182', '127.0.0.1', 8182],
    ['localhost:1', 'localhost', 1],
    ['0.0.0.0:8181', '0.0.0.0', 8181],
    ['box-b.example.org:65535', 'box-b.example.org', 65_535],
    ['[::1]:8182', '::1', 8182],
    ['[::]', '::', 8181],
    ['box', 'box', 8181],
    ['9000', '127.0.0.1', 9000],
    [':9000', '127.0.0.1', 9000],
  ])('%s is an address', (text, host, port) => {
    expect(addressArgument(text)).toEqual({ host, port });
  });

  test.each(['', '127.0.0.1:0', 'box:65536', '::1:8181', 'http://box:1', 'box:', 'a b:1'])('%j is none', text => {
    expect(() => addressArgument(text)).toThrow(UsageError);
  });

  test.each([22, 6000, 10_080])('--http may not have the port %i, which fetch refuses', async port => {
    expect(() => checkHttpPort(port)).toThrow('browsers and fetch refuse');
    await expect(fetch(`http://127.0.0.1:${port}`)).rejects.toMatchObject({ cause: { message: 'bad port' } });
  });

  test('a port that fetch takes may be chosen', () => {
    for (const port of [80, 443, 3000, 6001, 8080, 8181, 8182, 65_535]) expect(() => checkHttpPort(port)).not.toThrow();
  });

  test.each(['ftp://a', 'http://', 'http://user:password@box'])('--url %s is refused', text => {
    expect(() => urlArgument(text)).toThrow(UsageError);
  });

  test.each(['', ' '])('--data %j is refused by that name, with the remedy', text => {
    expect(() => directoryArgument(text)).toThrow(`--data ${JSON.stringify(text)} names no directory; write its path, such as ./data`);
  });

  test('--data may be any path', () => {
    for (const path of ['a', './a b', '/var/lib/evertree']) expect(directoryArgument(path)).toBe(path);
  });

  test('--url may leave out http://', () => {
    expect(urlArgument('127.0.0.1:8182').href).toBe('http://127.0.0.1:8182/');
  });

  test('a path without its slash is told how to write it', () => {
    expect(() => pathArgument('a/b')).toThrow('write "/a/b"');
  });

  test.each(['', '-x', 'a b', 'a/b', 'x'.repeat(65), '..\n'])('%j is no name of a site', name => {
    expect(() => siteArgument(name)).toThrow(UsageError);
  });
});

describe('the target of a path', () => {
  test.each<[readonly string[], string]>([
    [[], '/data'],
    [[''], '/data/'],
    [['a', ''], '/data/a/'],
    [['a/b', 'c~d', '%2F', 'ü'], '/data/a~1b/c~0d/%252F/%C3%BC'],
    [['a', '..', 'b'], '/data?pointer=%2Fa%2F..%2Fb'],
    [['.'], '/data?pointer=%2F.'],
    [['x'.repeat(10_000)], `/data?pointer=%2F${'x'.repeat(10_000)}`],
  ])('%j', (path, target) => {
    expect(targetOf('data', path)).toBe(target);
  });
});

describe('the time of --timeout', () => {
  test.each([
    ['10', 10],
    ['0.5', 0.5],
  ])('%s', (text, seconds) => {
    expect(secondsArgument(text)).toBe(seconds);
  });

  test.each(['1s', '0', '-1', '', '1e3'])('%j is refused, and the option is named', text => {
    expect(() => secondsArgument(text)).toThrow(`--timeout ${JSON.stringify(text)} is no time; write seconds above 0`);
  });
});
