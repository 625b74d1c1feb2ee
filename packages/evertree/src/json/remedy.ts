/** A word, and the colon that follows it where it is a key. */
const WORD = /^([A-Za-z_$][\w$-]*)(\s*:)?/;
const COMMENT = /^\/[/*]/;

/** Words of other languages for what JSON has no word for, or another one. */
const WORDS: Readonly<Record<string, string>> = {
  True: 'write true',
  False: 'write false',
  None: 'write null',
  nil: 'write null',
  undefined: 'JSON has no such value; write null, or leave it out',
  NaN: 'JSON has no such value; write null or a string',
  Infinity: 'JSON has no such value; write null or a string',
};

/**
 * What to write instead, where a text is not JSON because of what other languages allow.
 * @param rest the text from the first token on that JSON does not allow, or the beginning of it
 * @param before the last character before it that is no blank
 */
export function remedyFor(rest: string, before: string): string | undefined {
  const [character = ''] = rest;
  if (character === '}' || character === ']') return before === ',' ? `remove the comma before ${character}` : undefined;
  if (character === "'") return 'JSON has double quotes only';
  if (COMMENT.test(rest)) return 'JSON has no comments; remove it';
  const [, word = '', colon] = WORD.exec(rest) ?? [];
  if (colon !== undefined) return `a key has double quotes: "${word}"`;
  return Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
}

/** The last character of a text that is no blank; empty if there is none. */
export function lastCharacter(text: string): string {
  return text.trimEnd().at(-1) ?? '';
}
