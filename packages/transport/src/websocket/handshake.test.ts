import type { IncomingMessage } from 'node:http';
import { BearerTokens } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { chooseVersion, offeredSubprotocols, refuseUpgrade } from './handshake.ts';

const HELD = new BearerTokens({ token: 's3cret' });

const request = (headers: Record<string, string> = {}, url = '/') =>
  ({ url, headers: { 'sec-websocket-protocol': 'evertree.4', ...headers } }) as unknown as IncomingMessage;

describe('the version of a link', () => {
  test('is the highest that both speak', () => {
    expect(chooseVersion(['evertree.1', 'evertree.3', 'evertree.2'], [1, 2])).toBe(2);
    expect(chooseVersion(['evertree.10', 'evertree.9'], [9, 10, 11])).toBe(10);
  });

  test('is none if none is in common, or if something else is offered', () => {
    expect(chooseVersion(['evertree.3'], [1, 2])).toBeUndefined();
    expect(chooseVersion(['graphql-ws', 'evertree', 'evertree.x', 'evertree.1.5', '', 'xevertree.1'])).toBeUndefined();
    expect(chooseVersion([])).toBeUndefined();
  });

  test('is offered, newest first', () => {
    expect(offeredSubprotocols()).toEqual(['evertree.4']);
  });
});

describe('an upgrade', () => {
  test('is taken', () => {
    expect(refuseUpgrade(request(), undefined)).toBeUndefined();
    expect(refuseUpgrade(request({ authorization: 'Bearer s3cret' }), HELD)).toBeUndefined();
    expect(refuseUpgrade(request({ authorization: 'bearer s3cret' }), HELD)).toBeUndefined();
    expect(refuseUpgrade(request({ 'sec-websocket-protocol': 'evertree.5, evertree.4' }), undefined)).toBeUndefined();
    // A token is accepted even if none is required.
    expect(refuseUpgrade(request({ authorization: 'Bearer s3cret' }), undefined)).toBeUndefined();
  });

  test.for([undefined, '', 's3cret', 'Basic s3cret', 'Bearer', 'Bearer ', 'Bearer s3cre', 'Bearer s3cret2', 'Bearer S3CRET', 'Bearer a b'])(
    'is refused without the token (%s)',
    authorization => {
      const refusal = refuseUpgrade(request(authorization === undefined ? {} : { authorization }), HELD);
      expect(refusal).toMatchObject({ status: '401 Unauthorized', header: 'WWW-Authenticate: Bearer' });
      expect(refusal?.sentence).toMatch(/token-file/);
      expect(refusal?.sentence).not.toMatch(/s3cret/i);
    },
  );

  test('is refused by name to a token that may not replicate, and taken from one that may', () => {
    const reader = { name: 'reader', secret: 'may-read', rights: ['read', 'write', 'admin'] } as const;
    const primary = { name: 'primary', secret: 'may-feed', rights: ['replicate'] } as const;
    const tokens = new BearerTokens({ tokens: [reader, primary] });
    expect(refuseUpgrade(request({ authorization: 'Bearer may-feed' }), tokens)).toBeUndefined();
    expect(refuseUpgrade(request({ authorization: 'Bearer may-read' }), tokens)).toEqual({
      status: '403 Forbidden',
      sentence: 'the token "reader" lacks the right "replicate"; in "auth.tokens" it has "read", "write", "admin"',
    });
    expect(refuseUpgrade(request({ authorization: 'Bearer unknown' }), tokens)?.status).toBe('401 Unauthorized');
    expect(refuseUpgrade(request({ authorization: 'Bearer may-read', 'sec-websocket-protocol': 'evertree.7' }), tokens)?.status).toBe(
      '403 Forbidden',
    );
  });

  test('is refused to a page in a browser, to another path, and without a version in common', () => {
    expect(refuseUpgrade(request({ origin: 'http://127.0.0.1:8181' }), undefined)?.status).toBe('403 Forbidden');
    expect(refuseUpgrade(request({ origin: 'null' }), undefined)?.status).toBe('403 Forbidden');
    expect(refuseUpgrade(request({}, '/data'), undefined)?.status).toBe('404 Not Found');
    expect(refuseUpgrade(request({ 'sec-websocket-protocol': 'evertree.7' }), undefined)).toEqual({
      status: '400 Bad Request',
      sentence: 'no protocol version in common: here evertree.4',
    });
  });

  test('tells a client without the token nothing about versions', () => {
    expect(refuseUpgrade(request({ 'sec-websocket-protocol': 'evertree.7' }), HELD)?.status).toBe('401 Unauthorized');
  });
});
