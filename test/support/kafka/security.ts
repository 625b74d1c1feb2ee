import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Certificate, makeAuthority, makeCertificate } from '../certificates.ts';
import type { Properties, SecuredListener } from './server-properties.ts';

export const SECURED_LISTENERS: readonly SecuredListener[] = ['SSL', 'MUTUAL_TLS', 'SASL_PLAINTEXT', 'SASL_SSL'];

/** A broker's authority and its own certificate, and the users that its SASL listeners know. */
export interface Security {
  readonly authority: Certificate;
  /** Name → password; each of them for PLAIN and for SCRAM-SHA-512. */
  readonly users: Readonly<Record<string, string>>;
  readonly properties: Properties;
}

/** Writes what the listeners need into `folder`. */
export async function makeSecurity(folder: string, users: Readonly<Record<string, string>>): Promise<Security> {
  const authority = await makeAuthority();
  const server = await makeCertificate(authority);
  const [keyStore, trustStore] = [join(folder, 'server.pem'), join(folder, 'authority.pem')];
  await writeFile(keyStore, `${server.key}\n${server.certificate}`, { mode: 0o600 });
  await writeFile(trustStore, authority.certificate);
  const properties = {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keyStore,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': trustStore,
    'listener.name.mutual_tls.ssl.client.auth': 'required',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-512',
    ...logins('sasl_plaintext', users),
    ...logins('sasl_ssl', users),
    // Everybody may do everything until a test writes a rule; Kafka's own listeners and PLAINTEXT know no name.
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'allow.everyone.if.no.acl.found': true,
    'super.users': 'User:ANONYMOUS',
  };
  return { authority, users, properties };
}

function logins(listener: string, users: Readonly<Record<string, string>>): Properties {
  const known = Object.entries(users).map(([name, password]) => `user_${name}="${password.replaceAll(/["\\]/g, String.raw`\$&`)}"`);
  const module = 'org.apache.kafka.common.security';
  return {
    [`listener.name.${listener}.plain.sasl.jaas.config`]: `${module}.plain.PlainLoginModule required ${known.join(' ')};`,
    [`listener.name.${listener}.scram-sha-512.sasl.jaas.config`]: `${module}.scram.ScramLoginModule required;`,
  };
}
