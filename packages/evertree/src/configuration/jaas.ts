/*
 * The line of Java's login configuration that a Kafka file may hold: `Module flag option="value" …;`. Kafka's
 * JaasConfig reads it with java.io.StreamTokenizer: comments are allowed, and words may contain `-`, `_` and `$`. It is
 * read the same way here.
 */

export interface LoginModule {
  readonly name: string;
  readonly options: ReadonlyMap<string, string>;
}

/**
 * `wrong` is what is wrong and how to mend it, as it reads after «is set (not shown)»; it repeats no value of the text.
 */
export type Jaas = { readonly module: LoginModule } | { readonly wrong: string };

const FLAGS: readonly string[] = ['required', 'requisite', 'sufficient', 'optional'];
const BLANK = /(?:\s|\/\/[^\n\r]*|\/\*[\s\S]*?\*\/)+/y;
const QUOTED = /"((?:[^"\\\n\r]|\\[^\n\r])*)"|'((?:[^'\\\n\r]|\\[^\n\r])*)'/y;
const WORD = /[A-Za-z_$\u00a0-\uffff][\w.$\u00a0-\uffff-]*/y;
const MARK = /[;=]/y;

const ESCAPES: { readonly [letter: string]: string } = { a: '\u0007', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\u000b' };

interface Token {
  readonly kind: 'word' | 'quoted' | 'mark';
  readonly text: string;
}

export function parseJaas(text: string): Jaas {
  const tokens = tokensOf(text);
  if (typeof tokens === 'string') return { wrong: tokens };
  const [name, flag, ...rest] = tokens;
  if (name === undefined || name.kind === 'mark') return { wrong: 'begins with no login module' };
  if (flag === undefined || !FLAGS.includes(flag.text.toLowerCase())) {
    return { wrong: `lacks the word "required" after the login module ${name.text}` };
  }
  const options = new Map<string, string>();
  let index = 0;
  for (; rest[index] !== undefined && rest[index]?.text !== ';'; index += 3) {
    const [key, equals, value] = rest.slice(index, index + 3);
    if (key === undefined || key.kind === 'mark') return { wrong: 'has a "=" without the name of an option before it' };
    if (equals?.text !== '=' || equals.kind !== 'mark' || value === undefined || value.kind === 'mark') {
      return { wrong: `has no value for ${nameOf(key)}; write name="value", with the quotes` };
    }
    options.set(key.text, value.text);
  }
  if (rest[index] === undefined) return { wrong: 'does not end with ";"' };
  if (index + 1 < rest.length) return { wrong: 'has text after its ";"; there may be one login module only' };
  return { module: { name: name.text, options } };
}

/** The tokens, or what is wrong. */
function tokensOf(text: string): Token[] | string {
  const tokens: Token[] = [];
  let offset = 0;
  const next = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = offset;
    const match = pattern.exec(text);
    if (match !== null) offset = pattern.lastIndex;
    return match;
  };
  while (next(BLANK) !== null || offset < text.length) {
    if (offset === text.length) break;
    const quoted = next(QUOTED);
    if (quoted !== null) {
      tokens.push({ kind: 'quoted', text: unescape(quoted[1] ?? quoted[2] ?? '') });
      continue;
    }
    const plain = next(WORD) ?? next(MARK);
    if (plain === null) return stray(text.charAt(offset), offset);
    tokens.push({ kind: plain[0] === ';' || plain[0] === '=' ? 'mark' : 'word', text: plain[0] });
  }
  return tokens;
}

/** Names the character only if it is a quote or a digit: any other may be part of a password. */
function stray(character: string, offset: number): string {
  const place = `at character ${offset + 1}`;
  if (character === '"' || character === "'") return `has a quote ${place} that is not closed; write \\" for one inside a value`;
  if (/[\d.-]/.test(character)) return `has a number without quotes ${place}; write it in quotes`;
  return `can't be read ${place}; a value with such characters has to stand in quotes`;
}

/** Names an option only if it is a plain word: a quoted text may be a value. */
function nameOf({ kind, text }: Token): string {
  return kind === 'word' ? `"${text}"` : 'one of its options';
}

function unescape(text: string): string {
  return text.replaceAll(/\\([0-3][0-7]{0,2}|[4-7][0-7]?|[\s\S])/g, (_all, escaped: string) =>
    /^[0-7]/.test(escaped) ? String.fromCharCode(Number.parseInt(escaped, 8)) : (ESCAPES[escaped] ?? escaped),
  );
}
