import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import { messageOf } from './document.ts';
import { readNamedFile } from './named-file.ts';
import type { ConfigurationProblem } from './problem.ts';
import { PEM_FILE_LIMIT_BYTES, TOKEN_FILE_LIMIT_BYTES, parseToken } from './secret-file.ts';
import type { AuthSection, TlsSection } from './sections.ts';

/** PEM texts. `'off'`: the file says that the connection is not encrypted. */
export type Tls = 'off' | { readonly certificate?: string; readonly key?: string; readonly authority?: string };

/** The end of a TLS connection; the one that listens needs a certificate. */
export type TlsEnd = 'listens' | 'dials';

/** Reads the files that `tls` and `auth` sections name, and collects the problems. */
export class Credentials {
  /** About secrets that others can read. */
  readonly warnings: string[] = [];
  readonly #document: ConfigurationDocument;
  readonly #problems: ConfigurationProblem[];

  constructor(document: ConfigurationDocument, problems: ConfigurationProblem[]) {
    this.#document = document;
    this.#problems = problems;
  }

  token(section: AuthSection, place: KeyPath): string | undefined {
    if (section === undefined) return undefined;
    const at = [...place, 'token-file'];
    const text = this.#read(section['token-file'], at, TOKEN_FILE_LIMIT_BYTES, true);
    if (text === undefined) return undefined;
    const token = parseToken(text);
    if (token !== undefined) return token;
    this.#problem(
      at,
      `names ${JSON.stringify(section['token-file'])}, which holds no token; write one line of 8 or more printable ASCII characters into it, without spaces`,
    );
    return undefined;
  }

  tls(section: TlsSection, place: KeyPath, end: TlsEnd): Tls | undefined {
    if (section === undefined || section === 'off') return section;
    const certificate = this.#pem(section.certificate, [...place, 'certificate'], text => void new X509Certificate(text));
    const key = this.#pem(section.key, [...place, 'key'], text => void createPrivateKey(text));
    const authority = this.#pem(section.authority, [...place, 'authority'], text => void new X509Certificate(text));
    this.#checkPair(place, end);
    if (certificate !== undefined && key !== undefined && !new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
      this.#problem([...place, 'key'], 'is not the key of the certificate; name the key that the certificate was made with');
    }
    return {
      ...(certificate === undefined ? {} : { certificate }),
      ...(key === undefined ? {} : { key }),
      ...(authority === undefined ? {} : { authority }),
    };
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
    const findings = { problems: this.#problems, warnings: this.warnings };
    return readNamedFile(this.#document, place, file, findings, { limitBytes, isSecret });
  }

  #problem(place: KeyPath, message: string): void {
    this.#problems.push(this.#document.problem(place, message));
  }
}
