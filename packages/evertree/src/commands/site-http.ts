import { formatAddress, isLoopback } from '@evertree/core';
import type {
  ConsumerConfiguration,
  ProducerConfiguration,
  RoleConfigurations,
  SiteConfiguration,
} from '../configuration/configuration.ts';
import type { SiteSections } from '../configuration/joining.ts';
import { type ConfigurationProblem, configurationError } from '../configuration/problem.ts';
import { optional } from '../optional.ts';
import type { Site } from '../site/site.ts';
import { VERSION } from '../version.ts';
import type { HostAndPort } from './arguments.ts';

/** Addresses that stand for every interface: no client can be sent there. */
const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::', '[::]']);

/**
 * HTTP that listens beyond loopback needs a token, and TLS or `"tls": "off"`.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export function checkHttpAddress(source: string, { http }: SiteSections, address: HostAndPort | 'off'): void {
  if (address === 'off' || isLoopback(address.host)) return;
  const problems: ConfigurationProblem[] = [];
  const opens = `is missing, and --http ${formatAddress(address.host, address.port)} can be reached by others`;
  if (http.token === undefined && http.tokens === undefined)
    problems.push({ source, key: 'auth', message: `${opens}; add "auth": { "token-file": "…" }` });
  if (http.tls === undefined) {
    const remedy = 'add "tls": { "certificate": "…", "key": "…" } at the top or under "http", or "tls": "off" if the line is safe without';
    problems.push({ source, key: 'tls', message: `${opens}; ${remedy}` });
  }
  if (problems.length > 0) throw configurationError(problems);
}

/**
 * HTTP can't listen where the primary of a site is awaited, now or after the roles changed.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export function checkHttpPort(standby: ConsumerConfiguration | undefined, http: HostAndPort | 'off'): void {
  if (http === 'off' || standby?.kind !== 'netty-consumer' || standby.port !== http.port) return;
  const { source, address, port } = standby;
  if (address !== http.host && !EVERYWHERE.has(address) && !EVERYWHERE.has(http.host)) return;
  const message = `is ${port}, and so is the port of --http ${formatAddress(http.host, http.port)}; choose another one for one of them`;
  throw configurationError([{ source, key: 'netty-consumer.listening-port', message }]);
}

/** Takes as long as opening a site, which waits for the disk meanwhile: begun before that, it costs no time. */
export function loadHttp() {
  return import('../http/server.ts');
}

export async function startListening(
  stack: AsyncDisposableStack,
  site: Site,
  address: HostAndPort | 'off',
  { limits }: SiteSections,
): Promise<void> {
  if (address === 'off') return;
  const { report } = site.store;
  const { startHttp } = await loadHttp();
  const server = await startHttp({
    site,
    address: address.host,
    port: address.port,
    // HTTP asks for them again at each request and connection: they change with a reload.
    get token() {
      return site.http.token;
    },
    get tokens() {
      return site.http.tokens;
    },
    get tls() {
      return tlsAt(address, site.http);
    },
    limits: { ...optional('bodyBytes', limits.httpBodyBytes), ...optional('readyLagMs', limits.readyLagMs) },
    version: VERSION,
    report,
  });
  stack.defer(() => server.close());
  report({ level: 'info', event: 'http-listening', message: `HTTP on ${server.address}` });
}

function tlsAt({ host }: HostAndPort, http: SiteConfiguration['http']): SiteConfiguration['http']['tls'] {
  return isLoopback(host) && !http.tlsOnLoopback ? undefined : http.tls;
}

/**
 * Where clients reach the HTTP of a site whose files do not say it. A loopback address is one for others only where all
 * sites are on this machine, as in a first try: that is taken for so if the wires lead to loopback, too.
 */
export function reachableAddress(
  address: HostAndPort | 'off',
  { http }: SiteSections,
  configurations: RoleConfigurations,
): string | undefined {
  if (address === 'off' || EVERYWHERE.has(address.host)) return undefined;
  if (isLoopback(address.host) && !wiresOf(configurations).every(isOnThisMachine)) return undefined;
  const tls = tlsAt(address, http);
  return `${tls === undefined || tls === 'off' ? 'http' : 'https'}://${formatAddress(address.host, address.port)}`;
}

function wiresOf({ primary, standby }: RoleConfigurations): readonly (ProducerConfiguration | ConsumerConfiguration)[] {
  return [...(primary?.wires ?? []), ...(standby === undefined ? [] : [standby])];
}

function isOnThisMachine(wire: ProducerConfiguration | ConsumerConfiguration): boolean {
  switch (wire.kind) {
    case 'netty-producer':
      return wire.connections.every(({ address }) => isLoopback(address));
    case 'netty-consumer':
      return isLoopback(wire.address);
    case 'kafka-producer':
    case 'kafka-consumer':
      return wire.connection.brokers.every(broker => isLoopback(broker.replace(/:\d+$/, '')));
  }
}

/** The same configurations with one address that they advertise. */
export function withAdvertised({ primary, standby }: RoleConfigurations, advertised: string | undefined): RoleConfigurations {
  return {
    ...(primary === undefined ? {} : { primary: { ...primary, http: { ...primary.http, ...optional('advertised', advertised) } } }),
    ...(standby === undefined ? {} : { standby: { ...standby, http: { ...standby.http, ...optional('advertised', advertised) } } }),
  };
}
