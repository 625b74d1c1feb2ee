import { RIGHTS } from '@evertree/core';
import { z } from 'zod';
import { archiveSection } from './archive-section.ts';
import type { JavaProperties } from './kafka-properties.ts';
import { bytes, choice, host, httpAddress, milliseconds, port, section, text, wholeNumber, yesOrNo } from './fields.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const GIBIBYTE = 1024 * MEBIBYTE;
const TEBIBYTE = 1024 * GIBIBYTE;
const HOUR_MS = 3_600_000;

const RIGHTS_EXPECTED = `an array of ${RIGHTS.map(right => JSON.stringify(right)).join(', ')}, at least one of them`;
const TOKENS_EXPECTED = 'an array of 1 to 256 objects with "name", "token-file" and "rights"';

const file = (what: string) => text(`${what}: a file's name, relative to this file`).optional();

const tls = z
  .union(
    [
      z.literal('off', '"off"'),
      section({
        certificate: file('the PEM certificate of this side, with its chain'),
        key: file('the PEM private key of the certificate'),
        authority: file('the PEM certificates of the authority that the other side is checked against'),
      }),
    ],
    'an object with "certificate", "key" and "authority", or "off"',
  )
  .optional();

/** The most tokens of one list: each request compares all of them. */
const TOKENS_LIMIT = 256;

const token = section(
  {
    name: text('who has this token: 1 to 255 characters, no control characters', /^[^\p{Cc}]{1,255}$/u),
    'token-file': text("the token's file, relative to this file"),
    rights: z.array(choice(RIGHTS), RIGHTS_EXPECTED).min(1, RIGHTS_EXPECTED),
  },
  'an object with "name", "token-file" and "rights"',
);

const auth = section(
  {
    'token-file': text("the token's file, relative to this file; both sides hold the same token").optional(),
    tokens: z.array(token, TOKENS_EXPECTED).min(1, TOKENS_EXPECTED).max(TOKENS_LIMIT, TOKENS_EXPECTED).optional(),
  },
  'an object with "token-file" or "tokens"',
).optional();

/** Bounds of the store itself; the library's `openStore` takes them as well. */
export const storeLimitFields = {
  'pending-bytes': bytes(64 * KIBIBYTE, TEBIBYTE, 'what commits may hold in memory while they wait for the disk').optional(),
  'frame-bytes': bytes(KIBIBYTE, 16 * MEBIBYTE, 'the size at which a frame is cut').optional(),
  'change-set-bytes': bytes(KIBIBYTE, 64 * MEBIBYTE, 'the largest single commit').optional(),
  'listener-batches': wholeNumber(1, 1_000_000, 'batches a listener may fall behind before they are merged').optional(),
};

/** How a store's history is kept; the library's `openStore` takes them as well. */
export const journalFields = {
  encoding: choice(['binary', 'json']).optional(),
  sync: choice(['auto', 'dsync', 'fdatasync']).optional(),
  'segment-bytes': bytes(64 * KIBIBYTE, 4 * GIBIBYTE, 'the size of a segment file').optional(),
  'snapshot-bytes': bytes(64 * KIBIBYTE, TEBIBYTE, 'growth of the journal after which a snapshot is due').optional(),
  'retention-max-bytes': bytes(MEBIBYTE, Number.MAX_SAFE_INTEGER, 'what segments and snapshots may take on the disk').optional(),
  'retention-min-bytes': bytes(0, Number.MAX_SAFE_INTEGER, 'the newest history that is kept in any case').optional(),
  'retention-min-ms': milliseconds(0, Number.MAX_SAFE_INTEGER, 'the age up to which history is kept in any case').optional(),
  'retention-max-ms': milliseconds(0, Number.MAX_SAFE_INTEGER, 'the age from which on history is deleted').optional(),
  'retention-max-commits': wholeNumber(0, Number.MAX_SAFE_INTEGER, 'the newest commits that are kept').optional(),
  'retention-rewind-ms': milliseconds(0, Number.MAX_SAFE_INTEGER, 'the age up to which the site can go back').optional(),
  'divergences-max-bytes': bytes(MEBIBYTE, Number.MAX_SAFE_INTEGER, 'what divergences may take on the disk').optional(),
};

/** What may stand at the top of each of the four files. */
const common = {
  tls,
  auth,
  http: section({ tls, auth }, 'an object with "tls" and "auth"').optional(),
  'advertised-http': httpAddress("where clients reach this site's HTTP").optional(),
  limits: section({
    ...storeLimitFields,
    'window-bytes': bytes(64 * KIBIBYTE, GIBIBYTE, 'what may be on the way to a secondary unacknowledged').optional(),
    'http-body-bytes': bytes(KIBIBYTE, 256 * MEBIBYTE, 'the largest HTTP request body').optional(),
    'ready-lag-ms': milliseconds(1, 24 * HOUR_MS, 'the lag up to which a secondary is ready').optional(),
  }).optional(),
  journal: section(journalFields).optional(),
  archive: archiveSection.optional(),
};

const acknowledgement = section({
  secondaries: wholeNumber(0, 1_000, 'secondaries a write over HTTP waits for'),
  'timeout-ms': milliseconds(1, HOUR_MS, 'how long it waits').optional(),
  'on-timeout': choice(['fail', 'continue', 'refuse']).optional(),
}).optional();

/** What a file of any kind may hold; checks a file whose kind can't be told. */
export const commonSchema = z.strictObject({ acknowledgement, ...common });

const connection = section({
  'consumer-address': host("the consumer's address"),
  'consumer-port': port("the consumer's port"),
  'connection-retry-interval-ms': milliseconds(1, HOUR_MS, 'the pause between two attempts to connect').optional(),
  tls,
  auth,
});

export const nettyProducerSchema = z.strictObject({
  'netty-connection': z.union(
    [connection, z.array(connection).min(1, 'at least one connection')],
    'an object with "consumer-address" and "consumer-port", or an array of such objects, one for each secondary',
  ),
  acknowledgement,
  ...common,
});

export const nettyConsumerSchema = z.strictObject({
  'netty-consumer': section(
    {
      'listening-port': port('the port to listen on'),
      'listening-address': host('the address to listen on (127.0.0.1 unless given)').optional(),
      'enable-server-auto-restart': yesOrNo().optional(),
      tls,
      auth,
    },
    'an object with "listening-port"',
  ),
  ...common,
});

/** kafka-properties.ts checks the names and values of Java's properties. */
const properties = z
  .record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean()], 'a string, a number, true or false'),
    'an object of Java property names',
  )
  .optional();

const kafkaConnection = section(
  { 'kafka-host': host("the broker's address").optional(), 'kafka-port': port("the broker's port").optional() },
  'an object with "kafka-host" and "kafka-port"',
).optional();

const kafkaClient = choice(['kafkajs', 'platformatic']).optional();

/** Kafka allows 249 characters; `<topic>.snapshot` has to fit. */
const topic = text('the topic: 1 to 240 letters, digits, ".", "_" and "-"', /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,240}$/).optional();

export const kafkaProducerSchema = z.strictObject({
  'kafka-client': kafkaClient,
  'kafka-connection': kafkaConnection,
  'kafka-messaging': section({
    topic,
    partition: wholeNumber(0, 2_147_483_647, "the topic's partition").optional(),
    key: text("the messages' key").optional(),
  }).optional(),
  'kafka-producer-properties': properties,
  acknowledgement,
  ...common,
});

export const kafkaConsumerSchema = z.strictObject({
  'kafka-client': kafkaClient,
  'kafka-connection': kafkaConnection,
  'kafka-messaging': section({ topic }).optional(),
  'kafka-consumer-properties': properties,
  ...common,
});

/** What a schema takes, to be written in code: nothing in it is changed. */
type AsReadOnly<T> = T extends readonly (infer Item)[]
  ? readonly AsReadOnly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: AsReadOnly<T[Key]> }
    : T;

/** A primary's file, as an object. */
export type ProducerFile =
  | AsReadOnly<z.input<typeof nettyProducerSchema>>
  | (Omit<AsReadOnly<z.input<typeof kafkaProducerSchema>>, 'kafka-producer-properties'> & {
      readonly 'kafka-producer-properties'?: JavaProperties;
    });

/** A secondary's file, as an object. */
export type ConsumerFile =
  | AsReadOnly<z.input<typeof nettyConsumerSchema>>
  | (Omit<AsReadOnly<z.input<typeof kafkaConsumerSchema>>, 'kafka-consumer-properties'> & {
      readonly 'kafka-consumer-properties'?: JavaProperties;
    });

export type CommonSections = Pick<
  z.infer<typeof nettyConsumerSchema>,
  'tls' | 'auth' | 'http' | 'advertised-http' | 'limits' | 'journal' | 'archive'
>;
export type AcknowledgementSection = z.infer<typeof nettyProducerSchema>['acknowledgement'];
export type TlsSection = CommonSections['tls'];
export type AuthSection = CommonSections['auth'];
