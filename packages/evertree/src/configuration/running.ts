import { optional } from '../optional.ts';
import {
  type Connection,
  type ConsumerConfiguration,
  type FileConfiguration,
  type KafkaConsumerConfiguration,
  type KafkaProducerConfiguration,
  type NettyProducerConfiguration,
  type PrimaryConfiguration,
  type ProducerConfiguration,
  type RoleConfigurations,
  type SiteConfiguration,
  freeze,
} from './configuration.ts';
import type { Auth, Tls } from './credentials.ts';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import { joinRoles } from './joining.ts';
import type { ConfigurationProblem } from './problem.ts';

/*
 * Which part of a configuration may change while its site runs: the credentials, because a new connection takes them and
 * an open one needs them no more. Everything else was settled when the site started.
 */

/** What came of reading the configurations again. */
export interface Reload {
  /** Credentials that are others now: the file, and the key there. */
  readonly renewed: readonly Pick<ConfigurationProblem, 'source' | 'key'>[];
  /** What is written otherwise than the site runs: it counts after a restart. */
  readonly pending: readonly ConfigurationProblem[];
  /** Dangers, such as a secret that others can read. */
  readonly warnings: readonly string[];
}

/** The configurations that a site runs with: those of its start, and the credentials that were read last. */
export class RunningConfigurations {
  readonly #started: RoleConfigurations;
  readonly #read: () => RoleConfigurations;
  #present: RoleConfigurations;
  #http: SiteConfiguration['http'];

  /** @param read reads the same files again, and checks all that is checked at a start */
  constructor(started: RoleConfigurations, read: () => RoleConfigurations) {
    this.#started = started;
    this.#read = read;
    this.#present = started;
    this.#http = httpOf(started);
  }

  get primary(): PrimaryConfiguration | undefined {
    return this.#present.primary;
  }

  get standby(): ConsumerConfiguration | undefined {
    return this.#present.standby;
  }

  /** What HTTP demands of its clients now. */
  get http(): SiteConfiguration['http'] {
    return this.#http;
  }

  /**
   * Takes the credentials over that the files have now. Whole or not at all.
   * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong: nothing has changed then
   */
  reload(): Reload {
    const read = this.#read();
    // Files of two roles that disagree are refused, as at a start.
    httpOf(read);
    const renewal = new Renewal();
    const present = freeze(renewal.roles(this.#present, read));
    const http = httpOf(present);
    this.#present = present;
    this.#http = http;
    const now = filesOf(read);
    const pending = filesOf(this.#started).flatMap((file, index) => differences(file, now[index]));
    const warnings = [read.primary, read.standby].flatMap(configuration => configuration?.warnings ?? []);
    return freeze({ renewed: renewal.renewed, pending: [...renewal.pending, ...pending], warnings });
  }
}

function httpOf({ primary, standby }: RoleConfigurations): SiteConfiguration['http'] {
  return freeze(joinRoles([primary, standby].filter(configuration => configuration !== undefined)).http);
}

function filesOf({ primary, standby }: RoleConfigurations): readonly FileConfiguration[] {
  return [...(primary?.wires ?? []), ...(standby === undefined ? [] : [standby])];
}

/** Puts the credentials of configurations that were read into those of a site, and tells which ones differ. */
class Renewal {
  readonly renewed: Pick<ConfigurationProblem, 'source' | 'key'>[] = [];
  readonly pending: ConfigurationProblem[] = [];

  roles(present: RoleConfigurations, read: RoleConfigurations): RoleConfigurations {
    const { primary, standby } = present;
    return {
      ...optional('primary', primary && read.primary && this.#primary(primary, read.primary)),
      ...optional('standby', standby && read.standby && this.#standby(standby, read.standby)),
    };
  }

  #primary(present: PrimaryConfiguration, read: PrimaryConfiguration): PrimaryConfiguration {
    const wires = present.wires.map((wire, index) => this.#wire(wire, read.wires[index]));
    return { ...present, wires, http: withCredentials(present.http, read.http) };
  }

  /** One of another kind is left as it is: `differences` tells of it. */
  #wire(present: ProducerConfiguration, read: ProducerConfiguration | undefined): ProducerConfiguration {
    if (present.kind === 'netty-producer' && read?.kind === 'netty-producer') {
      const connections = present.connections.map(connection => this.#connection(connection, read));
      return { ...present, ...this.#file(present, read), connections };
    }
    if (present.kind !== 'kafka-producer' || read?.kind !== 'kafka-producer') return present;
    return { ...present, ...this.#file(present, read), connection: this.#brokers(present, read) };
  }

  #standby(present: ConsumerConfiguration, read: ConsumerConfiguration): ConsumerConfiguration {
    if (present.kind === 'netty-consumer' && read.kind === 'netty-consumer') {
      this.#compare(read.document, ['netty-consumer'], present, read);
      return { ...withCredentials(present, read), ...this.#file(present, read) };
    }
    if (present.kind !== 'kafka-consumer' || read.kind !== 'kafka-consumer') return present;
    return { ...present, ...this.#file(present, read), connection: this.#brokers(present, read) };
  }

  #file(present: FileConfiguration, read: FileConfiguration): Pick<FileConfiguration, 'document' | 'http'> {
    this.#compare(read.document, ['http'], present.http, read.http);
    return { document: read.document, http: withCredentials(present.http, read.http) };
  }

  /** A secondary is known by its address: a token goes to no other place than the one that it was written for. */
  #connection(present: Connection, read: NettyProducerConfiguration): Connection {
    const index = read.connections.findIndex(({ address, port }) => address === present.address && port === present.port);
    const now = read.connections[index];
    if (now === undefined) return present;
    const place = read.document.typeAt(['netty-connection']) === 'array' ? ['netty-connection', index] : ['netty-connection'];
    this.#compare(read.document, place, present, now);
    return withCredentials(present, now);
  }

  /** Another `security.protocol` is told by `differences`. */
  #brokers<C extends KafkaProducerConfiguration | KafkaConsumerConfiguration>(present: C, read: C): C['connection'] {
    const { connection } = present;
    const { tls, sasl } = read.connection;
    if ((tls === undefined) !== (connection.tls === undefined) || (sasl === undefined) !== (connection.sasl === undefined))
      return connection;
    const section = read.kind === 'kafka-producer' ? 'kafka-producer-properties' : 'kafka-consumer-properties';
    // How tokens are asked for is a function: it is compared by what is written.
    const changed = differingPlaces(present.document.value, read.document.value).filter(isOfBrokers);
    for (const place of changed) this.#renewed(read.document, place);
    if (changed.length === 0 && !isSame(connection.tls, tls)) this.#renewed(read.document, [section]);
    return { ...connection, tls, sasl };
  }

  #compare(document: ConfigurationDocument, section: KeyPath, before: EndCredentials, now: EndCredentials): void {
    const nearest = (name: string) => (document.has([...section, name]) ? [...section, name] : [name]);
    if (!isSame([before.token, before.tokens], [now.token, now.tokens])) this.#renewed(document, nearest('auth'));
    if (!isSame(encryptionOf(before), encryptionOf(now))) {
      add(this.pending, document.problem(nearest('tls'), 'changes whether there is TLS; it counts after a restart'));
    } else if (!isSame(before.tls, now.tls)) this.#renewed(document, nearest('tls'));
  }

  #renewed(document: ConfigurationDocument, place: KeyPath): void {
    const { source, key } = document.problem(place, '');
    add(this.renewed, { source, key });
  }
}

/** The wire and HTTP may take the same key: it is told once. */
function add<T extends Pick<ConfigurationProblem, 'source' | 'key'>>(list: T[], one: T): void {
  if (!list.some(({ source, key }) => source === one.source && key === one.key)) list.push(one);
}

/** What stands in a connection, a listener and HTTP alike. */
type EndCredentials = Auth & { readonly tls?: Tls; readonly tlsOnLoopback?: boolean };

/** Whether there is TLS can't change under an open port. */
function withCredentials<T extends EndCredentials>(present: T, read: T): T {
  const { token: _token, tokens: _tokens, tls: _tls, ...kept } = present;
  const tls = isSame(encryptionOf(present), encryptionOf(read)) ? read.tls : present.tls;
  return { ...kept, ...optional('token', read.token), ...optional('tokens', read.tokens), ...optional('tls', tls) } as T;
}

/** Whether there is TLS at all, and at HTTP on loopback, too. */
function encryptionOf({ tls, tlsOnLoopback }: EndCredentials): readonly [boolean, boolean | undefined] {
  return [typeof tls === 'object', tlsOnLoopback];
}

/** What a file says otherwise than when the site started, beside its credentials. */
function differences(started: FileConfiguration, now: FileConfiguration | undefined): ConfigurationProblem[] {
  if (now === undefined) return [];
  const { document } = now;
  const places = differingPlaces(started.document.value, document.value).filter(place => !isCredential(place));
  const problems = places.map(place => {
    const message = `is ${document.quote(place)}, and was ${started.document.quote(place)} when the site started; it counts after a restart`;
    return document.problem(place, message);
  });
  if (isSame(started.archive, now.archive) || places.some(([section]) => section === 'archive')) return problems;
  const message = 'names a file that holds something else than when the site started; it counts after a restart';
  return [...problems, document.problem(['archive'], message)];
}

function isCredential(place: KeyPath): boolean {
  return place.includes('auth') || place.includes('tls') || isOfBrokers(place);
}

function isOfBrokers(place: KeyPath): boolean {
  return /^(?:ssl|sasl)\./.test(String(place.at(-1)));
}

/** The places at which two documents differ; an object that one of them lacks counts as empty. */
function differingPlaces(before: unknown, now: unknown, place: KeyPath = []): KeyPath[] {
  if (Array.isArray(before) && Array.isArray(now)) {
    const length = Math.max(before.length, now.length);
    return Array.from({ length }, (_, index) => differingPlaces(before[index], now[index], [...place, index])).flat();
  }
  if (isMembers(before) && isMembers(now) && (before !== undefined || now !== undefined)) {
    const keys = new Set([...Object.keys(before ?? {}), ...Object.keys(now ?? {})]);
    return [...keys].flatMap(key => differingPlaces(before?.[key], now?.[key], [...place, key]));
  }
  return isSame(before, now) ? [] : [place];
}

function isMembers(value: unknown): value is Readonly<Record<string, unknown>> | undefined {
  return value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value));
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
