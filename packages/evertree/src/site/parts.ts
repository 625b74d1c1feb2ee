import { Consumer } from '@evertree/consumer';
import { type RoleHandler, type Store, formatAddress, isLoopback } from '@evertree/core';
import { Producer } from '@evertree/producer';
import { earlierFrames } from '../archive/catch-up.ts';
import type { ConsumerConfiguration, Present, PrimaryConfiguration } from '../configuration/configuration.ts';
import { optional } from '../optional.ts';
import type { PrimaryPart, SecondaryPart } from '../roles/part.ts';
import { VERSION } from '../version.ts';
import { Quarantine } from './quarantine.ts';
import { type StoreSettings, checkSettings } from './settings.ts';
import { consumerTransport, producerTransports } from './wire.ts';

export const PROGRAM = `evertree ${VERSION}`;

/** What a part needs of its site. */
interface PartSite {
  readonly store: Store;
  /** Where frames that could not be applied are kept; they are not kept without one. */
  readonly directory: string | undefined;
  readonly settings: StoreSettings;
}

/** What a part tells its far ends of the site, and who takes what they say about who leads. */
export interface PartRoles {
  /** The site has the configuration of the other role. */
  readonly standby: boolean;
  readonly role: RoleHandler;
}

/**
 * A primary's part as its configuration says; not opened yet.
 * @throws EvertreeError CONFIGURATION_INVALID when the store was opened with other settings
 */
export async function primaryPart(
  { store, settings }: PartSite,
  present: Present<PrimaryConfiguration>,
  roles?: PartRoles,
): Promise<PrimaryPart> {
  const configuration = present();
  checkSettings(settings, configuration);
  const producer = new Producer({
    store,
    transports: await producerTransports(store, present),
    limits: { ...optional('windowBytes', configuration.limits.windowBytes) },
    program: PROGRAM,
    advertised: () => configuration.http.advertised,
    ...roles,
  });
  return { role: 'primary', producer, acknowledgement: configuration.acknowledgement };
}

/** A secondary's part as its configuration says; not opened yet. Throws as `primaryPart`. */
export async function secondaryPart(site: PartSite, present: Present<ConsumerConfiguration>, roles?: PartRoles): Promise<SecondaryPart> {
  const configuration = present();
  const { store, directory, settings } = site;
  checkSettings(settings, configuration);
  const quarantine = directory === undefined ? undefined : new Quarantine(directory, store.report);
  const earlier = earlierFrames(store, settings.archive);
  const consumer = new Consumer({
    store,
    transport: await consumerTransport(store, present),
    program: PROGRAM,
    advertised: () => configuration.http.advertised,
    ...roles,
    ...(earlier === undefined ? {} : { earlierFrames: earlier }),
    ...(quarantine === undefined ? {} : { keepQuarantined: (frame, error) => quarantine.keep(frame, error) }),
  });
  const again = () => secondaryPart(site, present, roles);
  return { role: 'secondary', consumer, opened: () => reportSource(configuration, consumer, store), again };
}

/** Reports where a secondary waits for its primary. A listener that failed and tries again has reported that itself. */
function reportSource(configuration: ConsumerConfiguration, consumer: Consumer, { role, report }: Store): void {
  if (configuration.kind === 'kafka-consumer') {
    const { topic, connection } = configuration;
    report({ level: 'info', event: 'reading', message: `follows the topic ${topic} at ${connection.brokers.join(', ')}` });
  } else if (consumer.state.lastError === null) {
    const { address, port, source } = configuration;
    const waits = role === 'secondary' ? 'waits for its primary' : 'listens for another primary';
    const open = isLoopback(address) ? `; to be reached by others it needs "listening-address", "auth" and "tls" in ${source}` : '';
    report({ level: 'info', event: 'listening', message: `${waits} on ${formatAddress(address, port)}${open}` });
  }
}
