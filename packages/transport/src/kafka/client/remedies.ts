import type { ErrorCode } from '@evertree/core';
import { UNFOLDED_LIMIT_BYTES } from './settings.ts';

export interface Remedy {
  readonly code: ErrorCode;
  readonly lasting: boolean;
  /** What it means and what mends it. */
  readonly text: string;
}

export function passing(text: string): Remedy {
  return { code: 'UNREACHABLE', lasting: false, text };
}

export function lasting(code: ErrorCode, text: string): Remedy {
  return { code, lasting: true, text };
}

const ADDRESS = '"bootstrap.servers", or "kafka-host" and "kafka-port"';
const UNKNOWN_AUTHORITY = lasting(
  'UNAUTHENTICATED',
  'its certificate comes from an authority that is not known here; give that as "ssl.truststore.location" (PEM)',
);

/** By the codes of Node's network and of OpenSSL. */
export const NETWORK_REMEDIES: { readonly [code: string]: Remedy } = {
  ECONNREFUSED: passing(`nothing listens there; start the broker, or mend ${ADDRESS}`),
  ENOTFOUND: passing(`no such host; mend ${ADDRESS}, or the broker's "advertised.listeners" if it is not named there`),
  EAI_AGAIN: passing('its name could not be looked up just now'),
  EHOSTUNREACH: passing('there is no route to it'),
  ENETUNREACH: passing('there is no route to it'),
  ETIMEDOUT: passing('it does not answer; is a firewall between?'),
  ECONNRESET: passing('it closed the connection; does "security.protocol" fit that listener?'),
  EPIPE: passing('it closed the connection; does "security.protocol" fit that listener?'),
  EPROTO: passing('it does not answer in TLS; does "security.protocol" fit that listener?'),
  ERR_SSL_WRONG_VERSION_NUMBER: lasting('UNREACHABLE', 'it does not answer in TLS; mend "security.protocol", or the port'),
  DEPTH_ZERO_SELF_SIGNED_CERT: lasting(
    'UNAUTHENTICATED',
    'its certificate is signed by itself; give that certificate, or the authority that signs it, as "ssl.truststore.location" (PEM)',
  ),
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  CERT_UNTRUSTED: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  ERR_TLS_CERT_ALTNAME_INVALID: lasting(
    'UNAUTHENTICATED',
    'its certificate is for another name; call it by a name in the certificate (its "advertised.listeners" too), or set "ssl.endpoint.identification.algorithm" to ""',
  ),
  CERT_HAS_EXPIRED: lasting('UNAUTHENTICATED', 'its certificate has expired; renew it'),
  CERT_NOT_YET_VALID: lasting('UNAUTHENTICATED', 'its certificate is not valid yet; compare the two clocks'),
};

/** TLS alerts of the far end about this client's certificate. */
export function isCertificateRefusal(code: string): boolean {
  return /^ERR_SSL_.*ALERT.*(?:CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED)/.test(code);
}

const GRANT = 'kafka-acls.sh --bootstrap-server … --add --allow-principal User:…';
const BROKER_REFUSES_SASL = lasting('UNAUTHENTICATED', 'its listener takes no SASL; mend "security.protocol", or the port');

/** By Kafka's names of its errors. */
export const PROTOCOL_REMEDIES: { readonly [type: string]: Remedy } = {
  INVALID_TIMESTAMP: passing(
    'a commit is dated further ahead of its clock than the topic takes ("message.timestamp.after.max.ms", an hour); set this machine\'s clock right, or raise that',
  ),
  SASL_AUTHENTICATION_FAILED: lasting('UNAUTHENTICATED', 'it refuses the credentials; mend "sasl.jaas.config"'),
  UNSUPPORTED_SASL_MECHANISM: lasting('UNAUTHENTICATED', 'it does not offer this SASL mechanism; mend "sasl.mechanism"'),
  ILLEGAL_SASL_STATE: BROKER_REFUSES_SASL,
  SECURITY_DISABLED: BROKER_REFUSES_SASL,
  TOPIC_AUTHORIZATION_FAILED: lasting(
    'FORBIDDEN',
    `this user may not use the topic; grant it: ${GRANT} --operation Describe --operation DescribeConfigs --operation Read --operation Write --operation Create --operation Delete --resource-pattern-type prefixed --topic …`,
  ),
  GROUP_AUTHORIZATION_FAILED: lasting(
    'FORBIDDEN',
    `this user may not use the group; grant it: ${GRANT} --operation Read --operation Describe --operation Delete --resource-pattern-type prefixed --group …, with the start of "group.id"`,
  ),
  CLUSTER_AUTHORIZATION_FAILED: lasting(
    'FORBIDDEN',
    `this user may not do that on the cluster; grant it: ${GRANT} --operation IdempotentWrite --operation Create --cluster`,
  ),
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: lasting('FORBIDDEN', 'this user may not write with a transactional id'),
  MESSAGE_TOO_LARGE: lasting('TOO_LARGE', 'a batch is larger than the topic\'s "max.message.bytes"; raise that, or lower "batch.size"'),
  RECORD_LIST_TOO_LARGE: lasting(
    'TOO_LARGE',
    'a batch is larger than a segment of the topic; raise its "segment.bytes", or lower "batch.size"',
  ),
  INVALID_TOPIC_EXCEPTION: lasting('CONFIGURATION_INVALID', 'it does not take the topic\'s name; mend "topic" in "kafka-messaging"'),
  INVALID_PARTITIONS: lasting('CONFIGURATION_INVALID', 'it does not take that number of partitions; mend "partition" in "kafka-messaging"'),
  INVALID_REPLICATION_FACTOR: passing('fewer brokers are there than its "default.replication.factor" asks for; start them, or lower it'),
  POLICY_VIOLATION: lasting('CONFIGURATION_INVALID', "a topic like this is against the cluster's policy; have it made by a user who may"),
  INVALID_SESSION_TIMEOUT: lasting(
    'CONFIGURATION_INVALID',
    'it does not take "session.timeout.ms"; keep it between its "group.min.session.timeout.ms" and "group.max.session.timeout.ms"',
  ),
  INVALID_GROUP_ID: lasting('CONFIGURATION_INVALID', 'it does not take the group\'s name; mend "group.id"'),
  UNSUPPORTED_VERSION: lasting('FORMAT_UNSUPPORTED', 'it is too old or too new for this client'),
  UNSUPPORTED_COMPRESSION_TYPE: lasting('FORMAT_UNSUPPORTED', 'it does not take this codec; mend "compression.type"'),
  UNSUPPORTED_FOR_MESSAGE_FORMAT: lasting(
    'FORMAT_UNSUPPORTED',
    'it keeps records in a format older than Kafka 0.11; set "message.format.version"',
  ),
  UNKNOWN_TOPIC_OR_PARTITION: passing('it has no such topic or partition'),
  NOT_ENOUGH_REPLICAS: passing('too few replicas are in sync for "min.insync.replicas"; start the other brokers'),
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: passing('too few replicas are in sync for "min.insync.replicas"; start the other brokers'),
  KAFKA_STORAGE_ERROR: passing('its disk failed or is full; look into its log'),
};

/** What lets a reader go on behind a batch that it can't use. */
export const REMOVE_BATCH = 'remove what the topic has up to it with `kafka-delete-records.sh`';

/** Of a batch that came and can't be read: by Kafka's names of its errors, and by Node's codes. */
export const UNREADABLE_REMEDIES: { readonly [name: string]: Remedy } = {
  UNSUPPORTED_COMPRESSION_TYPE: lasting(
    'FORMAT_UNSUPPORTED',
    `a batch was compressed with a codec that is not read here; set the "compression.type" of its writer, or of the topic, to none, gzip or zstd, and ${REMOVE_BATCH}`,
  ),
  UNSUPPORTED_FOR_MESSAGE_FORMAT: lasting(
    'FORMAT_UNSUPPORTED',
    `a batch has a format older than Kafka 0.11; set the topic's "message.format.version", and ${REMOVE_BATCH}`,
  ),
  ERR_BUFFER_TOO_LARGE: lasting(
    'TOO_LARGE',
    `a batch has more than ${UNFOLDED_LIMIT_BYTES / (1024 * 1024)} MiB once it is decompressed: no site wrote it; ${REMOVE_BATCH}`,
  ),
};
