import { EvertreeError, type ErrorCode, type Path, formatPath } from '@evertree/core';

/** The longest path of a URL that is sent; longer pointers go into the query, which no proxy on the way takes apart. */
const URL_PATH_LIMIT_CHARACTERS = 8 * 1024;

/** What TLS says of a certificate whose authority this machine does not know. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

export interface WriteAnswer {
  readonly position: { readonly epoch: number; readonly revision: number };
  readonly acknowledged: number;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

/** Talks to a running site. */
export class SiteClient {
  readonly url: URL;
  readonly #token: string | undefined;

  constructor(url: URL, token: string | undefined) {
    this.url = url;
    this.#token = token;
  }

  /**
   * @param target path and query under the site's URL, already encoded
   * @throws EvertreeError UNREACHABLE, or what the site answered
   */
  async request(target: string, options: RequestOptions = {}): Promise<Response> {
    const headers: Record<string, string> = { ...options.headers };
    if (this.#token !== undefined) headers['Authorization'] = `Bearer ${this.#token}`;
    let response: Response;
    try {
      response = await fetch(new URL(this.url.pathname.replace(/\/$/, '') + target, this.url), {
        redirect: 'error',
        method: options.method ?? 'GET',
        headers,
        ...(options.body === undefined ? {} : { body: options.body }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (error) {
      if (options.signal?.aborted === true) throw error;
      throw unreachable(this.url, error);
    }
    if (response.ok) return response;
    throw await refusal(response, this.url);
  }

  async json(target: string, options: RequestOptions = {}): Promise<unknown> {
    return (await this.request(target, options)).json();
  }

  async write(target: string, options: RequestOptions): Promise<WriteAnswer> {
    return (await this.json(target, options)) as WriteAnswer;
  }
}

/** The target of a path: `/data/a/b`, or `/data?pointer=…` for what URL parsers would alter or that is very long. */
export function targetOf(resource: 'data' | 'watch', path: Path): string {
  const pointer = formatPath(path);
  const encoded = pointer.split('/').map(encodeURIComponent).join('/');
  const altered = path.some(segment => segment === '.' || segment === '..');
  if (!altered && encoded.length <= URL_PATH_LIMIT_CHARACTERS) return `/${resource}${encoded}`;
  return `/${resource}?pointer=${encodeURIComponent(pointer)}`;
}

/** An answer's body as it comes in; nothing where there is none. */
export async function* bodyOf(response: Response): AsyncGenerator<Uint8Array> {
  if (response.body !== null) yield* response.body as ReadableStream<Uint8Array>;
}

async function refusal(response: Response, url: URL): Promise<EvertreeError> {
  const text = await response.text();
  let problem: unknown;
  try {
    problem = JSON.parse(text);
  } catch (cause) {
    const message = `${url.origin} answered ${response.status} ${response.statusText}, and not as a site does; is something else there?`;
    return new EvertreeError('UNREACHABLE', message, { status: response.status }, cause);
  }
  const { code, detail, title, status, type, ...details } = problem as Record<string, unknown>;
  // A newer site may have codes that this program does not know yet; they are told all the same.
  return new EvertreeError(
    String(code) as ErrorCode,
    `${String(detail ?? title ?? status ?? type)}${remedyOf(String(code), details)}`,
    details,
  );
}

/** What the one at the command line can do, beyond what a site tells any client. */
function remedyOf(code: string, details: Readonly<Record<string, unknown>>): string {
  if (code === 'UNAUTHENTICATED') return '; name the file that holds it with --token-file';
  const { site } = (details['primary'] ?? {}) as { readonly site?: string };
  return code === 'NOT_PRIMARY' && site !== undefined ? `: its primary is ${site}` : '';
}

function unreachable(url: URL, error: unknown): EvertreeError {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  const reason = cause?.code === 'ECONNREFUSED' ? 'nothing listens there' : (cause?.message ?? (error as Error).message);
  if (UNTRUSTED.has(cause?.code ?? '')) {
    const distrust = `the certificate of ${url.origin} is not trusted (${cause?.code}); name its authority's PEM file in NODE_EXTRA_CA_CERTS`;
    return new EvertreeError('UNREACHABLE', distrust, { url: url.origin }, error);
  }
  const message = `no site answers at ${url.origin} (${reason}); start one, or name another with --url`;
  return new EvertreeError('UNREACHABLE', message, { url: url.origin }, error);
}
