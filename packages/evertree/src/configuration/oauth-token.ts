import { EvertreeError } from '@evertree/core';
import { z } from 'zod';

/** Shorter than the time that the client gives a broker to accept the credentials. */
const ANSWER_LIMIT_MS = 4_000;
const ANSWER_LIMIT_BYTES = 64 * 1024;
/** A token is asked for again when this share of its time is over, as Java does. */
const REFRESH_SHARE = 0.8;

const answerSchema = z.object({ access_token: z.string().min(1), expires_in: z.number().positive().optional() });

export interface TokenRequest {
  readonly endpoint: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string | undefined;
}

/**
 * Gets tokens by OAuth 2.0's client_credentials grant (RFC 6749, 4.4). Keeps a token while it is fresh; callers that
 * wait share a request.
 * @returns a function that throws EvertreeError: UNAUTHENTICATED when the client is refused, UNREACHABLE when it is
 *   worth trying again
 */
export function tokenSource(request: TokenRequest, now: () => number = Date.now): () => Promise<string> {
  let kept: { readonly token: string; readonly until: number } | undefined;
  let asking: Promise<string> | undefined;
  const renew = async () => {
    const asked = now();
    const { access_token: token, expires_in: seconds = 0 } = await ask(request);
    kept = { token, until: asked + seconds * 1_000 * REFRESH_SHARE };
    return token;
  };
  return async () => {
    if (kept !== undefined && now() < kept.until) return kept.token;
    asking ??= renew().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}

async function ask({ endpoint, clientId, clientSecret, scope }: TokenRequest): Promise<z.output<typeof answerSchema>> {
  const credentials = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
  const what = `the token endpoint ${endpoint}`;
  let response: Response;
  let text: string;
  try {
    response = await fetch(endpoint, {
      method: 'POST',
      redirect: 'error',
      headers: { Authorization: `Basic ${Buffer.from(credentials).toString('base64')}`, Accept: 'application/json' },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }),
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    text = await limitedText(response);
  } catch (cause) {
    const reason = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
    throw new EvertreeError('UNREACHABLE', `${what} can't be asked: ${reason}; mend "sasl.oauthbearer.token.endpoint.url"`, {}, cause);
  }
  if (response.status === 400 || response.status === 401 || response.status === 403) {
    const remedy = 'mend client id, secret and scope';
    throw new EvertreeError('UNAUTHENTICATED', `${what} refuses the client ${JSON.stringify(clientId)} (${response.status}); ${remedy}`);
  }
  if (!response.ok) throw new EvertreeError('UNREACHABLE', `${what} answers ${response.status}`);
  const answer = answerSchema.safeParse(jsonOf(text));
  if (answer.success) return answer.data;
  throw new EvertreeError('UNREACHABLE', `${what} answers without an access token; is it the right address?`);
}

async function limitedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > ANSWER_LIMIT_BYTES) throw new Error(`its answer has more than ${ANSWER_LIMIT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Undefined fits no schema, so the caller refuses it.
    return undefined;
  }
}
