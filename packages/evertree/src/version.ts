import { createRequire } from 'node:module';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

/** This package's version, as package.json has it. */
export const VERSION = version;
