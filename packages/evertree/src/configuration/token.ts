export const TOKEN_FILE_LIMIT_BYTES = 4 * 1024;

/** The token that a file holds: one line of 8 or more printable ASCII characters, without spaces. */
export function parseToken(text: string): string | undefined {
  const token = text.trim();
  return /^[\x21-\x7e]{8,4096}$/.test(token) ? token : undefined;
}
