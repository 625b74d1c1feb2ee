import { EvertreeError } from '@evertree/core';
import type * as library from '@platformatic/kafka';

/** The package `@platformatic/kafka`. */
export type Library = typeof library;

const PACKAGE = '@platformatic/kafka';
const INSTALL = 'npm install @platformatic/kafka@2';

/** @throws EvertreeError CONFIGURATION_INVALID with the command that installs the package */
export async function loadLibrary(load: () => Promise<Library> = importLibrary): Promise<Library> {
  const loaded = await load().catch((error: unknown) => {
    throw notLoaded(error);
  });
  // Its debug output shows requests, so passwords as well.
  loaded.loggers.protocol.enabled = false;
  return loaded;
}

/** The name is not a constant: a bundle would take the package in, or fail where it is not installed. */
function importLibrary(): Promise<Library> {
  const name = ['@platformatic', 'kafka'].join('/');
  return import(name) as Promise<Library>;
}

function notLoaded(error: unknown): EvertreeError {
  const words = error instanceof Error ? error.message : String(error);
  const isMissing = (error as { readonly code?: unknown } | null)?.code === 'ERR_MODULE_NOT_FOUND' && words.includes(PACKAGE);
  const told = isMissing ? 'is not installed here' : `can't be loaded (${words})`;
  const message = `"kafka-client" is "platformatic", and its package ${PACKAGE} ${told}; install it: ${INSTALL}`;
  return new EvertreeError('CONFIGURATION_INVALID', message, undefined, error);
}
