import { X509Certificate, createPrivateKey } from 'node:crypto';
import { isLoopback } from '@evertree/core';
import type { KafkaConnection, KafkaCredentials } from '@evertree/transport/kafka';
import { messageOf } from './document.ts';
import { parseJaas } from './jaas.ts';
import type { LoginModule } from './jaas.ts';
import type { KafkaSection } from './kafka-section.ts';
import { PEM_FILE_LIMIT_BYTES } from './secret-file.ts';
import { tokenSource } from './oauth-token.ts';

// How the client connects to the brokers: `security.protocol`, `ssl.*` and `sasl.*` with Java's meanings, and PEM files
// for stores.

const MODULES: { readonly [name: string]: 'plain' | 'scram' | 'oauthbearer' } = {
  'org.apache.kafka.common.security.plain.PlainLoginModule': 'plain',
  'org.apache.kafka.common.security.scram.ScramLoginModule': 'scram',
  'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule': 'oauthbearer',
};

type BrokerTls = NonNullable<KafkaConnection['tls']>;

/** Adds problems and notes to the section; the result counts only if there are no problems. */
export function resolveKafkaConnection(section: KafkaSection): KafkaConnection {
  const protocol = section.text('security.protocol') ?? 'PLAINTEXT';
  const brokers = (section.text('bootstrap.servers') ?? '').split(',').map(server => server.trim());
  const isTls = protocol.endsWith('SSL');
  const isSasl = protocol.startsWith('SASL');
  if (!isTls)
    section.refuse(
      /^ssl\./,
      `has no effect with "security.protocol" ${protocol}; write ${isSasl ? 'SASL_SSL' : 'SSL'} there, or remove it`,
    );
  if (!isSasl)
    section.refuse(
      /^sasl\./,
      `has no effect with "security.protocol" ${protocol}; write SASL_${isTls ? 'SSL' : 'PLAINTEXT'} there, or remove it`,
    );
  const sasl = isSasl ? resolveSasl(section) : undefined;
  if (sasl?.mechanism === 'plain' && !isTls && !brokers.every(broker => isLoopback(broker.replace(/:\d+$/, '')))) {
    section.note(
      'the password travels in clear, as "security.protocol" is SASL_PLAINTEXT and "sasl.mechanism" PLAIN; SASL_SSL encrypts it',
    );
  }
  return {
    brokers,
    clientId: section.text('client.id'),
    tls: isTls ? resolveTls(section) : undefined,
    sasl,
    requestTimeoutMs: section.number('request.timeout.ms'),
  };
}

function resolveTls(section: KafkaSection): BrokerTls {
  const authority = resolveAuthority(section);
  const own = resolveOwnCertificate(section);
  const checkName = section.text('ssl.endpoint.identification.algorithm') !== '';
  if (!checkName) {
    section.note(
      'a broker may bear any name, as "ssl.endpoint.identification.algorithm" is empty; "https" checks it against its certificate',
    );
  }
  return { authority, ...own, checkName };
}

function resolveAuthority(section: KafkaSection): string | undefined {
  const inline = section.text('ssl.truststore.certificates');
  const file = section.text('ssl.truststore.location');
  if (inline !== undefined && file !== undefined) {
    section.problem('ssl.truststore.certificates', 'stands beside "ssl.truststore.location"; keep one of the two');
  }
  if (inline === undefined && file === undefined)
    section.refuse(/^ssl\.truststore\./, 'has no effect without "ssl.truststore.location"; remove it');
  const name = inline === undefined ? 'ssl.truststore.location' : 'ssl.truststore.certificates';
  const text = inline ?? readPem(section, name);
  if (text !== undefined) check(section, name, 'PEM certificates', () => new X509Certificate(text));
  return text;
}

function resolveOwnCertificate(section: KafkaSection): Pick<BrokerTls, 'certificate' | 'key' | 'passphrase'> {
  const key = section.text('ssl.keystore.key');
  const chain = section.text('ssl.keystore.certificate.chain');
  const file = section.text('ssl.keystore.location');
  if (key === undefined && chain === undefined && file === undefined) {
    section.refuse(
      /^ssl\.key(?:store)?\./,
      'has no effect without "ssl.keystore.location", or "ssl.keystore.key" and "ssl.keystore.certificate.chain"',
    );
    return {};
  }
  if (file !== undefined) {
    section.refuse(/^ssl\.keystore\.(?:key|certificate\.chain)$/, 'stands beside "ssl.keystore.location"; keep one of the two');
    const text = readPem(section, 'ssl.keystore.location');
    return text === undefined ? {} : checkPair(section, 'ssl.keystore.location', 'ssl.keystore.location', text, text);
  }
  if (key === undefined) section.problem('ssl.keystore.key', 'is missing beside "ssl.keystore.certificate.chain"');
  if (chain === undefined) section.problem('ssl.keystore.certificate.chain', 'is missing beside "ssl.keystore.key"');
  if (key === undefined || chain === undefined) return {};
  return checkPair(section, 'ssl.keystore.certificate.chain', 'ssl.keystore.key', chain, key);
}

function checkPair(section: KafkaSection, chainName: string, keyName: string, certificate: string, key: string) {
  const passphrase = section.text('ssl.key.password');
  const isEncrypted = /ENCRYPTED/.test(key);
  if (isEncrypted && passphrase === undefined) section.problem('ssl.key.password', `is missing, and the key of "${keyName}" is encrypted`);
  else if (!isEncrypted && passphrase !== undefined)
    section.problem('ssl.key.password', `has no effect: the key of "${keyName}" is not encrypted; remove it`);
  else {
    const what = isEncrypted ? 'a PEM key that "ssl.key.password" opens' : 'a PEM key';
    const made = check(section, keyName, what, () => createPrivateKey({ key, ...(passphrase === undefined ? {} : { passphrase }) }));
    const leaf = check(section, chainName, 'PEM certificates', () => new X509Certificate(certificate));
    if (made !== undefined && leaf !== undefined && !leaf.checkPrivateKey(made)) {
      section.problem(keyName, 'holds a key that is not that of the (first) certificate; put the certificate of the key first');
    }
  }
  return { certificate, key, passphrase };
}

/** The message repeats neither the value nor the path, as either may be secret. */
function check<T>(section: KafkaSection, name: string, what: string, make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    section.problem(name, `does not hold ${what}: ${messageOf(error)}; inside JSON the lines of PEM are separated by \\n`);
    return undefined;
  }
}

function readPem(section: KafkaSection, name: string): string | undefined {
  const text = section.file(name, PEM_FILE_LIMIT_BYTES, name === 'ssl.keystore.location');
  if (text === undefined || text.includes('-----BEGIN ')) return text;
  // Java's stores are binary: decoded as UTF-8 they contain the replacement character.
  const isJava = text.includes('\ufffd');
  section.problem(
    name,
    isJava
      ? 'names a Java key store (JKS or PKCS #12), which is not read; convert it: keytool -importkeystore -srckeystore STORE -destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12 -in store.p12 -out store.pem'
      : 'names a file that holds no PEM ("-----BEGIN …")',
  );
  return undefined;
}

function resolveSasl(section: KafkaSection): KafkaCredentials | undefined {
  const mechanism = section.text('sasl.mechanism');
  if (mechanism !== 'OAUTHBEARER') {
    section.refuse(
      /^sasl\.(?:oauthbearer|login)\./,
      `has no effect with "sasl.mechanism" ${mechanism}; write OAUTHBEARER there, or remove it`,
    );
  }
  const module = resolveModule(section, mechanism);
  if (module === undefined) return undefined;
  if (mechanism === 'OAUTHBEARER') return resolveToken(section, module);
  const username = option(section, module, 'username');
  const password = option(section, module, 'password');
  if (module.options.get('tokenauth')?.toLowerCase() === 'true') {
    section.problem(
      'sasl.jaas.config',
      'asks for a delegation token (tokenauth), which the client does not support; give a SCRAM user instead',
    );
  }
  return { mechanism: (mechanism ?? '').toLowerCase() as 'plain', username, password };
}

function resolveModule(section: KafkaSection, mechanism: string | undefined): LoginModule | undefined {
  const place = 'sasl.jaas.config';
  const text = section.text(place);
  const sample = `${mechanism?.startsWith('SCRAM') ? '….scram.ScramLoginModule' : '….plain.PlainLoginModule'} required username="…" password="…";`;
  if (text === undefined) {
    if (section.has('sasl.mechanism'))
      section.problem(place, `is missing, and "security.protocol" asks for it; it is org.apache.kafka.common.security${sample.slice(1)}`);
    return undefined;
  }
  const jaas = parseJaas(text);
  if ('wrong' in jaas) {
    section.problem(place, `is set (not shown), and ${jaas.wrong}`);
    return undefined;
  }
  const kind = MODULES[jaas.module.name];
  if (kind === undefined) {
    const known = Object.keys(MODULES).join(', ');
    section.problem(place, `names the login module ${JSON.stringify(jaas.module.name)}, which is Java code; supported are ${known}`);
    return undefined;
  }
  if (mechanism !== undefined && !mechanism.toLowerCase().startsWith(kind)) {
    section.problem(place, `has a login module for ${kind.toUpperCase()}, and "sasl.mechanism" is ${mechanism}; let the two agree`);
    return undefined;
  }
  return jaas.module;
}

function option(section: KafkaSection, module: LoginModule, name: string): string {
  const value = module.options.get(name);
  if (value === undefined || value === '') section.problem('sasl.jaas.config', `is set (not shown), and has no ${name}="…"`);
  return value ?? '';
}

/** Java takes id, secret and scope from the login module; since Kafka 4.1 properties may give them, and prevail. */
function resolveToken(section: KafkaSection, module: LoginModule): KafkaCredentials {
  const find = (property: string, name: string) => section.text(property) ?? module.options.get(name);
  const endpoint = section.text('sasl.oauthbearer.token.endpoint.url');
  const clientId = find('sasl.oauthbearer.client.credentials.client.id', 'clientId');
  const clientSecret = find('sasl.oauthbearer.client.credentials.client.secret', 'clientSecret');
  if (endpoint === undefined) section.problem('sasl.oauthbearer.token.endpoint.url', 'is missing, and OAUTHBEARER gets its tokens there');
  for (const [name, value] of [
    ['clientId', clientId],
    ['clientSecret', clientSecret],
  ] as const) {
    if (value === undefined) section.problem('sasl.jaas.config', `is set (not shown), and has no ${name}="…"`);
  }
  const scope = find('sasl.oauthbearer.scope', 'scope');
  return {
    mechanism: 'oauthbearer',
    token: tokenSource({ endpoint: endpoint ?? '', clientId: clientId ?? '', clientSecret: clientSecret ?? '', scope }),
  };
}
