import { describe, expect, test } from 'vitest';
import { parseJaas } from './jaas.ts';

const options = (text: string) => {
  const jaas = parseJaas(text);
  if ('wrong' in jaas) throw new Error(jaas.wrong);
  return { name: jaas.module.name, ...Object.fromEntries(jaas.module.options) };
};

describe("Java's login configuration in one line", () => {
  test.each<[string, string, Record<string, string>]>([
    ['as everybody writes it', 'a.b.Module required username="u" password="p";', { name: 'a.b.Module', username: 'u', password: 'p' }],
    ['without options', 'a.b.Module required;', { name: 'a.b.Module' }],
    ['with blanks, lines and comments', '/* mine */ a.Module\n  required // always\n user = "u" ;\n', { name: 'a.Module', user: 'u' }],
    ['plain words and single quotes', "a.Module sufficient user=u-1 password='p q';", { name: 'a.Module', user: 'u-1', password: 'p q' }],
    ['escapes', String.raw`a.Module required p="a\"b\\c\td\101e\;";`, { name: 'a.Module', p: 'a"b\\c\tdAe;' }],
    ['marks inside quotes', 'a.Module required p="a;b=c//d";', { name: 'a.Module', p: 'a;b=c//d' }],
    ['a flag in capitals', 'a.Module REQUIRED p="x";', { name: 'a.Module', p: 'x' }],
    ['any letters', 'a.Module required p="Grüße 世界";', { name: 'a.Module', p: 'Grüße 世界' }],
    ['the last of two', 'a.Module required p="x" p="y";', { name: 'a.Module', p: 'y' }],
  ])('%s', (_name, text, expected) => {
    expect(options(text)).toEqual(expected);
  });

  test.each<[string, string, string]>([
    ['nothing', ' ', 'begins with no login module'],
    ['no flag', 'a.Module password="hunter2";', 'lacks the word "required" after the login module a.Module'],
    ['no end', 'a.Module required password="hunter2"', 'does not end with ";"'],
    ['two modules', 'a.Module required; b.Module required;', 'has text after its ";"'],
    ['an open quote', 'a.Module required password="hunter2;', 'has a quote at character 28 that is not closed'],
    ['an open quote at the end of a line', 'a.Module required password="hunter2\n";', 'has a quote at character 28 that is not closed'],
    ['a number without quotes', 'a.Module required password=12hunter2;', 'has a number without quotes at character 28'],
    ['other characters without quotes', 'a.Module required password=!hunter2;', "can't be read at character 28"],
    ['a key without a value', 'a.Module required password;', 'has no value for "password"'],
    ['a value without a key', 'a.Module required ="hunter2";', 'has a "=" without the name of an option before it'],
    ['a value alone', 'a.Module required "hunter2" password="a";', 'has no value for one of its options'],
  ])('%s: says what is wrong, and repeats no value', (_name, text, expected) => {
    const jaas = parseJaas(text);
    expect(jaas).toEqual({ wrong: expect.stringContaining(expected) as unknown });
    expect(JSON.stringify(jaas)).not.toContain('hunter2');
  });
});
