import type { Archive, Identities } from '@evertree/archive';
import type { EarlierFrames, MissingStretch } from '@evertree/consumer';
import { EvertreeError, type Frame, type Store } from '@evertree/core';
import type { ArchiveConfiguration } from '../configuration/configuration.ts';
import { optional } from '../optional.ts';

/**
 * An archive as the place from which a secondary takes history that its primary, or its topic, no longer keeps. It is
 * opened when it is needed, and closed again.
 */
class ArchivedFrames implements EarlierFrames {
  readonly source: string;
  readonly #store: Store;
  readonly #configuration: ArchiveConfiguration;

  constructor(store: Store, source: string, configuration: ArchiveConfiguration) {
    this.#store = store;
    this.source = source;
    this.#configuration = configuration;
  }

  async *frames(stretch: MissingStretch, signal: AbortSignal): AsyncGenerator<Frame> {
    const { Archive, historyAfter, Identities, openTarget, pinOf } = await import('@evertree/archive');
    const { clock, random, report } = this.#store;
    const { endpoint, region, profile, pathStyle, identity } = this.#configuration;
    const settings = {
      ...optional('endpoint', endpoint),
      ...optional('region', region),
      ...optional('profile', profile),
      ...optional('pathStyle', pathStyle),
    };
    await using target = await openTarget(this.source, { clock, random, ...settings });
    const identities = identity === undefined ? undefined : Identities.parse([identity]);
    const archive = await Archive.open(target, { identities, report });
    assertReadable(archive, identities);
    archive.assertEncryptedFor(identities);
    if (signal.aborted) return;
    await using _ = await pinOf(archive, { purpose: 'catch-up', clock, random, report });
    for await (const frame of historyAfter(archive, stretch)) {
      if (signal.aborted) return;
      yield frame;
    }
  }
}

/** Says before anything large is read that only an identity opens it. */
function assertReadable({ isEncrypted, target }: Archive, identities: Identities | undefined): void {
  if (!isEncrypted || identities !== undefined) return;
  const message = `${target.name} is encrypted: name the file of an identity for which it is encrypted as "identity-file" beside "catch-up-from"`;
  throw new EvertreeError('IDENTITY_NEEDED', message, { target: target.name });
}

/** Where a secondary takes history from that nobody else keeps; undefined where its settings name no such place. */
export function earlierFrames(store: Store, configuration: ArchiveConfiguration): EarlierFrames | undefined {
  const { catchUpFrom } = configuration;
  return catchUpFrom === undefined ? undefined : new ArchivedFrames(store, catchUpFrom, configuration);
}
