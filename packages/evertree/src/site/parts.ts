import { Consumer } from '@evertree/consumer';
import type { Store } from '@evertree/core';
import { Producer } from '@evertree/producer';
import type { Acknowledgement, ConsumerConfiguration, PrimaryConfiguration } from '../configuration/configuration.ts';
import { optional } from '../optional.ts';
import { VERSION } from '../version.ts';
import { Quarantine } from './quarantine.ts';
import { consumerTransport, producerTransports } from './wire.ts';

/** What feeds a primary's secondaries. */
export interface PrimaryPart {
  readonly role: 'primary';
  readonly producer: Producer;
  /** What a write over HTTP waits for when it does not say so itself. */
  readonly acknowledgement?: Acknowledgement | undefined;
}

/** What feeds a secondary from its primary. */
export interface SecondaryPart {
  readonly role: 'secondary';
  readonly consumer: Consumer;
}

/** The part that a site plays. */
export type Part = PrimaryPart | SecondaryPart;

const PROGRAM = `evertree ${VERSION}`;

/** A primary's part as its configuration says; not opened yet. */
export async function primaryPart(store: Store, configuration: PrimaryConfiguration): Promise<PrimaryPart> {
  const producer = new Producer({
    store,
    transports: await producerTransports(store, configuration),
    limits: { ...optional('windowBytes', configuration.limits.windowBytes) },
    program: PROGRAM,
  });
  return { role: 'primary', producer, acknowledgement: configuration.acknowledgement };
}

/**
 * A secondary's part as its configuration says; not opened yet.
 * @param directory where frames that could not be applied are kept; they are not kept without one
 */
export async function secondaryPart(
  store: Store,
  configuration: ConsumerConfiguration,
  directory: string | undefined,
): Promise<SecondaryPart> {
  const quarantine = directory === undefined ? undefined : new Quarantine(directory, store.report);
  const consumer = new Consumer({
    store,
    transport: await consumerTransport(store, configuration),
    program: PROGRAM,
    ...(quarantine === undefined ? {} : { keepQuarantined: (frame, error) => quarantine.keep(frame, error) }),
  });
  return { role: 'secondary', consumer };
}
