import { X509Certificate } from 'node:crypto';
import { EvertreeError, SITE } from '@evertree/core';
import type { Transport, TransportEvents } from '@evertree/core';
import { Dial } from './dial.ts';
import { checkToken, resolveLimits } from './options.ts';
import type { DialOptions } from './options.ts';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs;

/**
 * The producer's end. It dials each remote again and again until it is closed. After a failed attempt, or a link that
 * ended at once, the wait grows; after a link that carried something or lasted, the wait is one interval.
 *
 * `open` resolves as soon as it has begun to dial; it rejects with CONFIGURATION_INVALID for an authority or an address
 * that no attempt could use.
 * @throws EvertreeError CONFIGURATION_INVALID for limits and token
 */
export function dialTransport(options: DialOptions): Transport {
  checkToken(options.token);
  return new Dialler(options);
}

class Dialler implements Transport {
  readonly remotes: readonly string[];
  readonly farEnd = SITE;
  readonly #options: DialOptions;
  readonly #dials: readonly Dial[];

  constructor(options: DialOptions) {
    const limits = resolveLimits(options.limits);
    this.#options = options;
    this.#dials = options.remotes.map(remote => new Dial(remote, options, limits));
    this.remotes = this.#dials.map(dial => dial.remote);
  }

  open(events: TransportEvents): Promise<void> {
    return Promise.try(() => {
      this.#checkAuthority();
      for (const dial of this.#dials) dial.checkUrl();
      for (const dial of this.#dials) dial.start(events);
    });
  }

  async close(why?: string): Promise<void> {
    await Promise.all(this.#dials.map(dial => dial.close(why)));
  }

  #checkAuthority(): void {
    const authority = this.#options.tls?.authority;
    if (authority === undefined) return;
    // Node ignores an authority that it can't read, and then trusts no certificate.
    const certificates = authority.toString().match(PEM_CERTIFICATE) ?? [];
    if (certificates.length > 0 && certificates.every(isCertificate)) return;
    throw new EvertreeError('CONFIGURATION_INVALID', 'tls.authority has to hold certificates in PEM (-----BEGIN CERTIFICATE-----)');
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
