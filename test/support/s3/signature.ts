import { createHash, createHmac } from 'node:crypto';
import { S3_ENVIRONMENT } from './server.ts';

export interface SignedRequest {
  readonly method: string;
  /** Path and query, as they are sent. */
  readonly target: string;
  readonly headers: Record<string, string>;
}

const { AWS_ACCESS_KEY_ID: KEY, AWS_SECRET_ACCESS_KEY: SECRET, AWS_REGION: REGION } = S3_ENVIRONMENT;

/**
 * Signs a request as the server's user (AWS Signature Version 4). For a proxy that changes a request's headers: the
 * client's own signature holds for what the client sent.
 */
export function sign({ method, target, headers }: SignedRequest, now: Date): void {
  const time = now.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const scope = `${time.slice(0, 8)}/${REGION}/s3/aws4_request`;
  headers['x-amz-date'] = time;
  headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
  const signed = Object.keys(headers)
    .filter(
      name => name === 'host' || name === 'content-type' || name === 'content-md5' || name.startsWith('x-amz-') || name.startsWith('if-'),
    )
    .toSorted();
  const [path = '', query = ''] = target.split('?', 2);
  const canonical = [
    method,
    path,
    query
      .split('&')
      .filter(part => part !== '')
      .map(part => (part.includes('=') ? part : `${part}=`))
      .toSorted()
      .join('&'),
    ...signed.map(name => `${name}:${headers[name]?.trim()}`),
    '',
    signed.join(';'),
    headers['x-amz-content-sha256'],
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = [time.slice(0, 8), REGION, 's3', 'aws4_request'].reduce<string | Buffer>((above, part) => hmac(above, part), `AWS4${SECRET}`);
  const signature = hmac(key, toSign).toString('hex');
  headers['authorization'] = `AWS4-HMAC-SHA256 Credential=${KEY}/${scope}, SignedHeaders=${signed.join(';')}, Signature=${signature}`;
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
