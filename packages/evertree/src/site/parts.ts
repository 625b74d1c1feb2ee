import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Consumer } from '@evertree/consumer';
import { type EvertreeError, type Store, formatPosition, parseFrame } from '@evertree/core';
import { Producer } from '@evertree/producer';
import type { Acknowledgement, ConsumerConfiguration, PrimaryConfiguration } from '../configuration/configuration.ts';
import { optional } from '../optional.ts';
import { VERSION } from '../version.ts';
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
const QUARANTINE_DIRECTORY = 'quarantine';

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
  const consumer = new Consumer({
    store,
    transport: await consumerTransport(store, configuration),
    program: PROGRAM,
    ...optional('keepQuarantined', directory === undefined ? undefined : quarantineIn(directory, store)),
  });
  return { role: 'secondary', consumer };
}

/** Keeps frames in the site's directory, one file for each position, so that somebody can look at them. */
function quarantineIn(directory: string, store: Store): (frame: Uint8Array, error: EvertreeError) => void {
  const folder = join(directory, QUARANTINE_DIRECTORY);
  return (frame, error) => {
    const file = join(folder, `${quarantineName(frame)}.evf`);
    try {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, frame);
      store.report({ level: 'warn', event: 'frame-kept', message: `the frame is kept in ${file}`, details: { file, code: error.code } });
    } catch (cause) {
      const message = `the frame could not be kept in ${file}: ${String(cause)}`;
      store.report({ level: 'warn', event: 'frame-not-kept', message, details: { file, error: cause } });
    }
  };
}

function quarantineName(bytes: Uint8Array): string {
  try {
    return formatPosition(parseFrame(bytes).header.last);
  } catch {
    // A frame may be in quarantine just because it can't be parsed.
    return 'unreadable';
  }
}
