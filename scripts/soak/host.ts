import { isDeepStrictEqual, parseArgs } from 'node:util';
import { isEvertreeError, openSite } from 'evertree';
import { HttpSite } from '../../test/support/http-site.ts';

/**
 * An application that embeds the library, with the arguments of the program: it commits whenever its site leads, several
 * times in a turn, and listens to its tree. The log on stderr tells of each commit before it is made (`writing`) and when
 * it is durable (`written`), and of what a listener should not be told (`printed`, so that it counts as a fault). Its
 * HTTP is that of the program.
 */
const TURN_REST_MS = 30;
const COMMITS_A_TURN = 4;
const KEYS = 8;
/** The site does not lead any more. */
const AWAY = ['SWITCHING', 'NOT_PRIMARY', 'FENCED', 'CLOSED'] as const;

function log(level: string, event: string, message: string): void {
  process.stderr.write(`${JSON.stringify({ level, event, message })}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    config: { type: 'string' },
    'standby-config': { type: 'string' },
    data: { type: 'string' },
    http: { type: 'string' },
    site: { type: 'string' },
    log: { type: 'string' },
  },
});
const { config, 'standby-config': standby, data, site: name } = values as Record<string, string>;
const isPrimary = positionals[0] === 'primary';
const site = await openSite({
  data: data!,
  site: name!,
  role: isPrimary ? 'primary' : 'secondary',
  primary: (isPrimary ? config : standby)!,
  standby: (isPrimary ? standby : config)!,
  log: ({ level, event, message }) => log(level, event, message),
});
const { store } = site;
const server = await HttpSite.start({ site, port: Number(values.http!.split(':')[1]) });

/** By key what the listener was told last. */
let heard = new Map<string, unknown>();
store.listen('/k', ({ initial, changes, position }) => {
  for (const { before, after } of changes) {
    const was = initial ? undefined : before;
    if (!isDeepStrictEqual({ ...((was ?? {}) as object) }, Object.fromEntries(heard))) {
      log('error', 'printed', `a listener was told at ${position.epoch}-${position.revision} of a state before that it had not heard of`);
    }
    heard = new Map(Object.entries((after ?? {}) as object));
  }
});

process.once('SIGTERM', () => void server[Symbol.asyncDispose]().then(() => process.exit(0)));

/** Of this process alone: an id is never given twice. */
let next = 1;
for (;;) {
  try {
    if ((await store.writable()).kind === 'here' && !store.get<number>('/quiet')) {
      for (let count = 0; count < COMMITS_A_TURN; count++) commit();
    }
  } catch (error) {
    if (!AWAY.some(code => isEvertreeError(error, code))) throw error;
  }
  await new Promise(resolve => setTimeout(resolve, TURN_REST_MS));
}

function commit(): void {
  const id = `${name}-${process.pid}-${Date.now()}-${next++}`;
  log('info', 'writing', id);
  const { durable, position } = store.put(`/k/${name}-own-${next % KEYS}`, { id, padding: '' });
  durable.then(
    () => log('info', 'written', `${id} ${position.epoch}-${position.revision}`),
    () => undefined,
  );
}
