import type { Consumer } from '@evertree/consumer';
import type { Role, Store } from '@evertree/core';
import type { Producer } from '@evertree/producer';
import type { RoleConfigurations } from '../configuration/configuration.ts';
import { readConsumerConfiguration, readPrimaryConfiguration } from '../configuration/reading.ts';
import { type ConsumerSource, type OpenSiteOptions, type OpenStoreOptions, type ProducerSource, checkOptions } from './options.ts';
import { primaryPart, secondaryPart } from './parts.ts';
import type { Site } from './site.ts';
import { type SiteStore, openUnstarted, siteOf } from './store.ts';

/**
 * Opens a data tree with its history: recovers it from its directory, and writes snapshots of it by itself. Under Node 24
 * V8 counts buffers with the heap in this process from then on.
 * @throws EvertreeError DIRECTORY_IN_USE, WRONG_ROLE, DAMAGED, FORMAT_UNSUPPORTED, STORAGE_FAILED, STORAGE_FULL,
 *   CONFIGURATION_INVALID
 */
export async function openStore(options: OpenStoreOptions): Promise<SiteStore> {
  const { store } = await openUnstarted(checkOptions(options, 'openStore'));
  return store as SiteStore;
}

/**
 * Opens a site: a store, as `openStore` does, and the part of its role on it. A directory knows its role. A new one has
 * that of `role`, else that of the configuration that is given, `primary` before `standby`. Without a configuration for
 * its role a site plays no part. On Linux V8's own threads yield to all others of this process from then on.
 * @throws EvertreeError as `openStore`, `startProducer` and `startConsumer`; nothing is left open then
 */
export async function openSite(options: OpenSiteOptions): Promise<Site> {
  const resolved = checkOptions(options, 'openSite');
  const read = (): RoleConfigurations => ({
    primary: options.primary === undefined ? undefined : readPrimaryConfiguration(options.primary),
    standby: options.standby === undefined ? undefined : readConsumerConfiguration(options.standby),
  });
  const configurations = read();
  const { primary, standby } = configurations;
  const role: Role | undefined = primary === undefined ? standby && 'secondary' : standby === undefined ? 'primary' : undefined;
  const site = await openUnstarted({ ...resolved, role: resolved.role ?? role }, { configurations, read });
  try {
    await site.start();
  } catch (error) {
    await site.close();
    throw error;
  }
  return site;
}

/**
 * Feeds the secondaries that a configuration names from a primary's store, until the producer is closed.
 * The store stays open.
 * @param configuration several of them are several ways to secondaries: by WebSocket, Kafka or both
 * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong, WRONG_ROLE at a secondary's store,
 *   UNAUTHENTICATED or FORBIDDEN when a broker refuses this client
 */
export async function startProducer(store: Store, configuration: ProducerSource | readonly ProducerSource[]): Promise<Producer> {
  const checked = readPrimaryConfiguration(configuration);
  const site = siteOf(store);
  const part = await primaryPart(site, () => checked);
  await site.join(part);
  return part.producer;
}

/**
 * Makes a store a secondary's, for good, and feeds it from its primary until the consumer is closed.
 * The store stays open.
 * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong, WRONG_ROLE when the store has commits of
 *   its own, UNREACHABLE when the port can't be listened on, UNAUTHENTICATED or FORBIDDEN when a broker refuses this
 *   client
 */
export async function startConsumer(store: Store, configuration: ConsumerSource): Promise<Consumer> {
  const checked = readConsumerConfiguration(configuration);
  const site = siteOf(store);
  const part = await secondaryPart(site, () => checked);
  await site.join(part);
  return part.consumer;
}
