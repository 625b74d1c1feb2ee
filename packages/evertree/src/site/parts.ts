import { Consumer } from '@evertree/consumer';
import { type Reporter, type Store, formatAddress, isLoopback } from '@evertree/core';
import { Producer } from '@evertree/producer';
import type { Acknowledgement, ConsumerConfiguration, PrimaryConfiguration } from '../configuration/configuration.ts';
import { optional } from '../optional.ts';
import { VERSION } from '../version.ts';
import { Quarantine } from './quarantine.ts';
import { type StoreSettings, checkSettings } from './settings.ts';
import { consumerTransport, producerTransports } from './wire.ts';

interface PartHooks {
  /** Called once the part is open. */
  readonly opened?: () => void;
  /** The same part, made anew and not opened yet. */
  readonly again?: () => Promise<Part>;
}

/** What feeds a primary's secondaries. */
export interface PrimaryPart extends PartHooks {
  readonly role: 'primary';
  readonly producer: Producer;
  /** What a write over HTTP waits for when it does not say so itself. */
  readonly acknowledgement?: Acknowledgement | undefined;
}

/** What feeds a secondary from its primary. */
export interface SecondaryPart extends PartHooks {
  readonly role: 'secondary';
  readonly consumer: Consumer;
}

/** The part that a site plays. */
export type Part = PrimaryPart | SecondaryPart;

const PROGRAM = `evertree ${VERSION}`;

/** What a part needs of its site. */
interface PartSite {
  readonly store: Store;
  /** Where frames that could not be applied are kept; they are not kept without one. */
  readonly directory: string | undefined;
  readonly settings: StoreSettings;
}

/**
 * A primary's part as its configuration says; not opened yet.
 * @throws EvertreeError CONFIGURATION_INVALID when the store was opened with other settings
 */
export async function primaryPart({ store, settings }: PartSite, configuration: PrimaryConfiguration): Promise<PrimaryPart> {
  checkSettings(settings, configuration);
  const producer = new Producer({
    store,
    transports: await producerTransports(store, configuration),
    limits: { ...optional('windowBytes', configuration.limits.windowBytes) },
    program: PROGRAM,
    advertised: () => configuration.http.advertised,
  });
  return { role: 'primary', producer, acknowledgement: configuration.acknowledgement };
}

/** A secondary's part as its configuration says; not opened yet. Throws as `primaryPart`. */
export async function secondaryPart(site: PartSite, configuration: ConsumerConfiguration): Promise<SecondaryPart> {
  const { store, directory, settings } = site;
  checkSettings(settings, configuration);
  const quarantine = directory === undefined ? undefined : new Quarantine(directory, store.report);
  const consumer = new Consumer({
    store,
    transport: await consumerTransport(store, configuration),
    program: PROGRAM,
    advertised: () => configuration.http.advertised,
    ...(quarantine === undefined ? {} : { keepQuarantined: (frame, error) => quarantine.keep(frame, error) }),
  });
  const again = () => secondaryPart(site, configuration);
  return { role: 'secondary', consumer, opened: () => reportSource(configuration, consumer, store.report), again };
}

/** Reports where a secondary waits for its primary. A listener that failed and tries again has reported that itself. */
function reportSource(configuration: ConsumerConfiguration, consumer: Consumer, report: Reporter): void {
  if (configuration.kind === 'kafka-consumer') {
    const { topic, connection } = configuration;
    report({ level: 'info', event: 'reading', message: `follows the topic ${topic} at ${connection.brokers.join(', ')}` });
  } else if (consumer.state.lastError === null) {
    const { address, port, source } = configuration;
    const open = isLoopback(address) ? `; to be reached by others it needs "listening-address", "auth" and "tls" in ${source}` : '';
    report({ level: 'info', event: 'listening', message: `waits for its primary on ${formatAddress(address, port)}${open}` });
  }
}
