import type * as https from 'node:https';

/**
 * What the program uses of Node's HTTP. An `import` of `node:http` reads all that it exports, and one export of it loads
 * Node's fetch: some 17 ms at each start.
 */
export const { createServer, request, STATUS_CODES } = process.getBuiltinModule('node:http');

/** TLS is loaded by those who speak it. */
export function nodeHttps(): typeof https {
  return process.getBuiltinModule('node:https');
}
