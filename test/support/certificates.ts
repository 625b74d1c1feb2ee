import { generate } from 'selfsigned';

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** An authority of one's own; made in milliseconds, for elliptic curves. Two in one file need two names. */
export async function makeAuthority(name = 'an authority'): Promise<Certificate> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { certificate: cert, key };
}

/**
 * A server's certificate for `names` (host names and addresses), signed by `authority`, valid now or in another time.
 */
export async function makeCertificate(
  authority: Certificate,
  options: { readonly names?: readonly string[]; readonly notAfter?: Date } = {},
): Promise<Certificate> {
  const { names = ['localhost', '127.0.0.1'], notAfter } = options;
  const altNames = names.map(name => (/^[\d.]+$/.test(name) ? { type: 7 as const, ip: name } : { type: 2 as const, value: name }));
  const { cert, private: key } = await generate([{ name: 'commonName', value: names[0] ?? 'nobody' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ca: { cert: authority.certificate, key: authority.key },
    ...(notAfter === undefined ? {} : { notBeforeDate: new Date(notAfter.getTime() - 86_400_000), notAfterDate: notAfter }),
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'subjectAltName', altNames },
    ],
  });
  return { certificate: cert, key };
}
