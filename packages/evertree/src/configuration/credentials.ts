import { X509Certificate, createPrivateKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { AccessToken } from '@evertree/core';
import { optional } from '../optional.ts';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import { messageOf } from './document.ts';
import { readNamedFile } from './named-file.ts';
import type { ConfigurationProblem } from './problem.ts';
import { PEM_FILE_LIMIT_BYTES, TOKEN_FILE_LIMIT_BYTES, parseToken } from './secret-file.ts';
import type { AuthSection, TlsSection } from './sections.ts';

/** Whom a site lets in. */
export interface Auth {
  /** The one token that has all rights. */
  readonly token?: string;
  readonly tokens?: readonly AccessToken[];
}

/** PEM texts. `'off'`: the file says that the connection is not encrypted. */
export type Tls = 'off' | { readonly certificate?: string; readonly key?: string; readonly authority?: string };

/** The end of a TLS connection; the one that listens needs a certificate. */
export type TlsEnd = 'listens' | 'dials';

/** Reads the files that `tls` and `auth` sections name, and collects the problems. */
export class Credentials {
  /** About secrets that others can read. */
  readonly warnings: string[] = [];
  readonly #document: ConfigurationDocument;
  readonly problems: ConfigurationProblem[];

  constructor(document: ConfigurationDocument, problems: ConfigurationProblem[]) {
    this.#document = document;
    this.problems = problems;
  }

  /** The tokens of an `auth` section; undefined without one. */
  auth(section: AuthSection, place: KeyPath): Auth | undefined {
    if (section === undefined) return undefined;
    const { 'token-file': file, tokens: list } = section;
    // The schema has reported one that is not as it should be.
    if (
      file === undefined &&
      list === undefined &&
      !this.#document.has([...place, 'tokens']) &&
      !this.#document.has([...place, 'token-file'])
    ) {
      this.#problem(
        place,
        'names no token; write "token-file": "…", or "tokens": [{ "name": "…", "token-file": "…", "rights": ["read"] }]',
      );
    }
    const token = file === undefined ? undefined : this.#token(file, [...place, 'token-file']);
    const tokens = list === undefined ? undefined : this.#tokens(list, [...place, 'tokens']);
    if (token !== undefined && tokens !== undefined)
      this.#checkSecrets([...tokens.map(({ secret }) => secret), token], [...place, 'token-file']);
    return { ...optional('token', token), ...optional('tokens', tokens) };
  }

  #tokens(list: NonNullable<NonNullable<AuthSection>['tokens']>, place: KeyPath): readonly AccessToken[] {
    const tokens: AccessToken[] = [];
    list.forEach((entry, index) => {
      // The schema has reported what is missing or wrong.
      const { name, 'token-file': file, rights } = entry as Partial<typeof entry>;
      const at = [...place, index];
      if (name !== undefined && list.findIndex(other => other.name === name) < index) {
        this.#problem([...at, 'name'], `is ${JSON.stringify(name)} again; history calls authors by these names: give each token its own`);
      }
      const secret = file === undefined ? undefined : this.#token(file, [...at, 'token-file']);
      if (name === undefined || secret === undefined || rights === undefined) return;
      tokens.push({ name, secret, rights: [...new Set(rights)] });
      this.#checkSecrets(
        tokens.map(token => token.secret),
        [...at, 'token-file'],
      );
    });
    return tokens;
  }

  /** Two names for one token would leave open who asks. @param secrets the last of them is checked */
  #checkSecrets(secrets: readonly string[], place: KeyPath): void {
    if (secrets.indexOf(secrets.at(-1)!) === secrets.length - 1) return;
    this.#problem(place, 'names a file with the same token as another one; write a token of its own into it');
  }

  #token(file: string, place: KeyPath): string | undefined {
    const text = this.#read(file, place, TOKEN_FILE_LIMIT_BYTES, true);
    if (text === undefined) return undefined;
    const token = parseToken(text);
    if (token !== undefined) return token;
    this.#problem(
      place,
      `names ${JSON.stringify(file)}, which holds no token; write one line of 8 or more printable ASCII characters into it, without spaces`,
    );
    return undefined;
  }

  tls(section: TlsSection, place: KeyPath, end: TlsEnd): Tls | undefined {
    if (section === undefined || section === 'off') return section;
    const certificate = this.#pem(section.certificate, [...place, 'certificate'], text => void new X509Certificate(text));
    const key = this.#pem(section.key, [...place, 'key'], text => void createPrivateKey(text));
    const authority = this.#pem(section.authority, [...place, 'authority'], checkCertificates);
    this.#checkPair(place, end);
    if (certificate !== undefined && key !== undefined && !new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
      this.#problem([...place, 'key'], 'is not the key of the certificate; name the key that the certificate was made with');
    } else if (certificate !== undefined && key !== undefined) this.#checkUse(place, certificate, key);
    return {
      ...(certificate === undefined ? {} : { certificate }),
      ...(key === undefined ? {} : { key }),
      ...(authority === undefined ? {} : { authority }),
    };
  }

  /** OpenSSL refuses some that can be read: a key that is too short, or a later certificate of the chain that is none. */
  #checkUse(place: KeyPath, cert: string, key: string): void {
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      this.#problem([...place, 'certificate'], `and "key" can't be used for TLS: ${messageOf(error)}; make a new pair`);
    }
  }

  #checkPair(place: KeyPath, end: TlsEnd): void {
    for (const [name, other] of [
      ['certificate', 'key'],
      ['key', 'certificate'],
    ] as const) {
      if (this.#document.has([...place, name])) continue;
      if (this.#document.has([...place, other])) this.#problem([...place, name], `is missing beside "${other}"; name its PEM file`);
      else if (end === 'listens') this.#problem([...place, name], 'is missing; whatever listens with TLS needs a certificate and its key');
    }
  }

  #pem(file: string | undefined, place: KeyPath, check: (text: string) => void): string | undefined {
    if (file === undefined) return undefined;
    const text = this.#read(file, place, PEM_FILE_LIMIT_BYTES, place.at(-1) === 'key');
    if (text === undefined) return undefined;
    try {
      check(text);
      return text;
    } catch (error) {
      this.#problem(place, `names ${JSON.stringify(file)}, which does not hold what it should, in PEM: ${messageOf(error)}`);
      return undefined;
    }
  }

  #read(file: string, place: KeyPath, limitBytes: number, isSecret: boolean): string | undefined {
    const findings = { problems: this.problems, warnings: this.warnings };
    return readNamedFile(this.#document, place, file, findings, { limitBytes, isSecret });
  }

  #problem(place: KeyPath, message: string): void {
    this.problems.push(this.#document.problem(place, message));
  }
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs;

/** Node ignores an authority that it can't read, and then trusts no certificate. */
function checkCertificates(text: string): void {
  const certificates = text.match(PEM_CERTIFICATE) ?? [];
  if (certificates.length === 0) throw new Error('there is no "-----BEGIN CERTIFICATE-----" in it');
  for (const certificate of certificates) void new X509Certificate(certificate);
}
