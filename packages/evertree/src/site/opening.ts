import type { Consumer } from '@evertree/consumer';
import type { Reporter, Role, Store } from '@evertree/core';
import type { Producer } from '@evertree/producer';
import { type ConfigurationSource, readConsumerConfiguration, readPrimaryConfiguration } from '../configuration/reading.ts';
import { optional } from '../optional.ts';
import { primaryPart, secondaryPart } from './parts.ts';
import { type JournalSettings, type StoreLimitSettings, checkSettings } from './settings.ts';
import { Site, type SiteConfigurations, siteOf } from './site.ts';

export interface OpenStoreOptions {
  /** A directory, made if there is none; or `memory`: nothing outlives the process, and nothing counts as durable. */
  readonly data: string;
  /** The site's name, told to its peers. A directory has one of its own from its first start on; it has to be the same. */
  readonly site?: string;
  /** The name for a new directory, where `site` is not given; drawn if that isn't either. */
  readonly defaultSite?: string;
  /** A directory has one from its first start on; it has to be the same. A new one is a primary's. */
  readonly role?: Role;
  /** How a primary writes its frames; `json` lets other tools read them, at some cost. */
  readonly encoding?: 'binary' | 'json';
  /** As in a configuration's `journal` section. */
  readonly journal?: JournalSettings;
  /** As in a configuration's `limits` section; what concerns the store. */
  readonly limits?: StoreLimitSettings;
  /** Told what happens, such as a damaged tail that was cut off; nothing is told without it. */
  readonly log?: Reporter;
}

export interface OpenSiteOptions extends OpenStoreOptions {
  /**
   * What the site needs as a primary: a file such as `configs/nettyProducer.json`, the same as an object, or several of them. Alone, it
   * makes the role `primary`.
   */
  readonly primary?: ConfigurationSource | readonly ConfigurationSource[];
  /** What it needs as a secondary: a file such as `configs/nettyConsumer.json`, or the same as an object. Alone, it makes it `secondary`. */
  readonly standby?: ConfigurationSource;
}

/**
 * Opens a data tree with its history: recovers it from its directory, and writes snapshots of it by itself.
 * @throws EvertreeError DIRECTORY_IN_USE, WRONG_ROLE, DAMAGED, FORMAT_UNSUPPORTED, STORAGE_FAILED, CONFIGURATION_INVALID
 */
export async function openStore(options: OpenStoreOptions): Promise<Store> {
  const { store } = await openUnstarted(options, {});
  return store;
}

/**
 * Opens a site: a store, as `openStore` does, and the part of its role on it. A directory knows its role; a new one has that of `role`,
 * else that of the configuration that is given, `primary` before `standby`. Without a configuration for its role a site plays no part.
 * @throws EvertreeError as `openStore`, `startProducer` and `startConsumer`; nothing is left open then
 */
export async function openSite({ primary: ofPrimary, standby: ofStandby, ...options }: OpenSiteOptions): Promise<Site> {
  const primary = ofPrimary === undefined ? undefined : readPrimaryConfiguration(ofPrimary);
  const standby = ofStandby === undefined ? undefined : readConsumerConfiguration(ofStandby);
  const role: Role | undefined = primary === undefined ? standby && 'secondary' : standby === undefined ? 'primary' : undefined;
  const site = await openUnstarted({ ...optional('role', role), ...options }, { primary, standby });
  try {
    await site.start();
  } catch (error) {
    await site.close();
    throw error;
  }
  return site;
}

/** As `openSite`, of configurations that were read and checked; `site.start()` begins its part. */
export function openUnstarted(options: OpenStoreOptions, configurations: SiteConfigurations): Promise<Site> {
  const { data, site, defaultSite, role, encoding, journal, limits, log } = options;
  return Site.open({
    directory: data === 'memory' ? undefined : data,
    site,
    defaultSite,
    role,
    journal: { ...journal, ...optional('encoding', encoding) },
    limits: limits ?? {},
    report: log ?? (() => undefined),
    ...configurations,
  });
}

/**
 * Feeds the secondaries that a configuration names from a primary's store, until the producer is closed. The store stays open.
 * @param configuration a file such as `configs/nettyProducer.json`, the same as an object, or several of them: for WebSocket, Kafka or both
 * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong, WRONG_ROLE at a secondary's store, UNAUTHENTICATED or
 * FORBIDDEN when a broker refuses this client
 */
export async function startProducer(store: Store, configuration: ConfigurationSource | readonly ConfigurationSource[]): Promise<Producer> {
  const checked = readPrimaryConfiguration(configuration);
  const site = siteOf(store);
  checkSettings(site.settings, checked);
  const part = await primaryPart(store, checked);
  await site.join(part);
  return part.producer;
}

/**
 * Makes a store a secondary's, for good, and feeds it from its primary until the consumer is closed. The store stays open.
 * @param configuration a file such as `configs/nettyConsumer.json`, or the same as an object
 * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong, WRONG_ROLE when the store has commits of its own,
 * UNREACHABLE when the port can't be listened on, UNAUTHENTICATED or FORBIDDEN when a broker refuses this client
 */
export async function startConsumer(store: Store, configuration: ConfigurationSource): Promise<Consumer> {
  const checked = readConsumerConfiguration(configuration);
  const site = siteOf(store);
  checkSettings(site.settings, checked);
  const part = await secondaryPart(store, checked, site.directory);
  await site.join(part);
  return part.consumer;
}
