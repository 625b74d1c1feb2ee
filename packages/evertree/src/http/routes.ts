import { postForget, SnapshotRequests } from './admin.ts';
import { postBatch } from './batch.ts';
import { deleteData, PATCH_TYPES, patchData, putData, readData } from './data.ts';
import type { Exchange } from './exchange.ts';
import type { Metrics } from './metrics.ts';
import { RequestError } from './problem.ts';
import { getHealth, getReadiness, getStatus } from './status.ts';
import type { Watches } from './watch.ts';

export type Handler = (exchange: Exchange) => Promise<void> | void;

export interface Route {
  /** As metrics name it. */
  readonly name: string;
  /** Whether everything below belongs to it, too. */
  readonly below?: true;
  /** Whether it is open to everybody, token or not. */
  readonly open?: true;
  readonly methods: Readonly<Record<string, Handler>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Routes {
  readonly #routes: readonly Route[];

  constructor(watches: Watches, metrics: Metrics) {
    const watch: Handler = exchange => watches.serve(exchange);
    const snapshots = new SnapshotRequests();
    this.#routes = [
      {
        name: '/data',
        below: true,
        methods: { GET: readData, HEAD: readData, PUT: putData, DELETE: deleteData, PATCH: patchData },
        headers: { 'Accept-Patch': PATCH_TYPES },
      },
      { name: '/batch', methods: { POST: postBatch } },
      { name: '/watch', below: true, methods: { GET: watch } },
      { name: '/status', methods: { GET: getStatus, HEAD: getStatus } },
      { name: '/healthz', open: true, methods: { GET: getHealth, HEAD: getHealth } },
      { name: '/readyz', open: true, methods: { GET: getReadiness, HEAD: getReadiness } },
      { name: '/metrics', methods: { GET: exchange => sendMetrics(exchange, metrics) } },
      { name: '/admin/snapshot', methods: { POST: exchange => snapshots.serve(exchange) } },
      { name: '/admin/forget', methods: { POST: postForget } },
    ];
  }

  /** @param path of a target, not decoded */
  find(path: string): Route | undefined {
    return this.#routes.find(({ name, below }) => path === name || (below === true && path.startsWith(`${name}/`)));
  }
}

/** @throws RequestError NOT_FOUND, METHOD_NOT_ALLOWED */
export async function dispatch(route: Route | undefined, exchange: Exchange): Promise<void> {
  const method = exchange.request.method ?? '';
  if (route === undefined) {
    if (method === 'OPTIONS' && exchange.target.path === '*') {
      exchange.response.writeHead(204).end();
      return;
    }
    throw new RequestError(
      'NOT_FOUND',
      `there is no ${JSON.stringify(exchange.target.path.slice(0, 200))} here; see /data, /batch, /watch, /status`,
    );
  }
  const allow = [...Object.keys(route.methods), 'OPTIONS'].join(', ');
  const handler = Object.hasOwn(route.methods, method) ? route.methods[method] : undefined;
  if (handler !== undefined) {
    await handler(exchange);
  } else if (method === 'OPTIONS') {
    exchange.response.writeHead(204, { Allow: allow, ...route.headers }).end();
  } else {
    throw new RequestError('METHOD_NOT_ALLOWED', `${route.name} takes ${allow}, and not ${method}`, {}, { Allow: allow });
  }
}

async function sendMetrics(exchange: Exchange, { registry }: Metrics): Promise<void> {
  exchange.refuseParameters();
  const text = await registry.metrics();
  exchange.response.writeHead(200, { 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' }).end(text);
}
