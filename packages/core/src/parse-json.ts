import { define, type Value } from './tree/value.ts';

type ObjectMembers = { [key: string]: Value };

/** The end of a string with an escape, and a colon: a key, or what looks like one within a string. */
const ESCAPED_KEY = /\\[^][^"\\]*"[ \t\n\r]*:/;
/** A token of a text that is JSON, behind blanks, commas and colons. */
const TOKEN = /[ \t\n\r,:]*([[\]{}]|"[^"\\]*(?:\\[^][^"\\]*)*"|[-+.\w]+)/y;

/**
 * As JSON.parse, and reads each key as it is written.
 *
 * V8 (Node 24.21) compares a key with the one that objects of the same shape had there: as it is written, before its
 * escapes are read. After `{"a":1,"\\":2}` it reads `{"a":1,"\n":2}` as if the key were a backslash. So a text that may
 * have an escape in a key is read token by token, each string alone; that takes several times as long.
 * @throws SyntaxError as JSON.parse
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || !text.includes('\\')) return value;
  return ESCAPED_KEY.test(text) ? readTokens(text) : value;
}

/** @param text that is JSON */
function readTokens(text: string): Value {
  const pattern = new RegExp(TOKEN);
  const root: Value[] = [];
  /** The open containers, the innermost last. The keys are those of objects, as far as their values did not begin. */
  const open: { readonly container: Value[] | ObjectMembers; key: string | undefined }[] = [{ container: root, key: undefined }];
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const token = match[1]!;
    const level = open.at(-1)!;
    if (token === ']' || token === '}') {
      open.pop();
    } else if (!Array.isArray(level.container) && level.key === undefined) {
      level.key = JSON.parse(token) as string;
    } else {
      const value: Value = token === '[' ? [] : token === '{' ? {} : (JSON.parse(token) as Value);
      if (Array.isArray(level.container)) level.container.push(value);
      else define(level.container, level.key!, value);
      level.key = undefined;
      if (token === '[' || token === '{') open.push({ container: value as Value[] | ObjectMembers, key: undefined });
    }
  }
  return root[0]!;
}
