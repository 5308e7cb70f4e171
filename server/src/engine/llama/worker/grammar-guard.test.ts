import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deepestGroups, readGbnf } from './gbnf.js';
import { mostOverlaps, refuseGrammar } from './grammar-guard.js';
import { countPaths } from './grammar-paths.js';

const nested = (depth: number): string => `root ::= ${'('.repeat(depth)}"a"${')'.repeat(depth)}`;

test('groups may nest so deep and no deeper', () => {
  expect(refuseGrammar(nested(deepestGroups))).toBeUndefined();
  expect(refuseGrammar(nested(deepestGroups + 1))).toContain('deeply');
});

test('parentheses in texts, classes and comments do not count', () => {
  const many = '('.repeat(500);
  expect(refuseGrammar(`root ::= "${many}" [${many}] # ${many}`)).toBeUndefined();
});

test('tokens in angle brackets hide nothing', () => {
  expect(refuseGrammar(`root ::= <"> ${'('.repeat(500)} <">`)).toBeDefined();
});

const json = `root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\\"" ( [^"\\\\\\x7F\\x00-\\x1F] | "\\\\" (["\\\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\\n" [ \\t]{0,20}`;
const code = `root ::= (declaration)*
declaration ::= type name "(" (type name)? ")" "{" statement* "}"
type ::= "int" ws | "char" ws
name ::= [a-zA-Z_] [a-zA-Z_0-9]*
statement ::= ( type name ws "=" ws expression ";" ) |
  ( "return" ws expression ";" ) | ( "while" "(" expression ")" "{" statement* "}" )
expression ::= term (("+" | "-") term)*
term ::= factor (("*" | "/") factor)*
factor ::= name | [0-9]+ | "-" factor | "(" ws expression ws ")"
ws ::= ([ \\t\\n]+)`;

test('ordinary grammars pass', () => {
  const keywords = Array.from({ length: 200 }, (_, index) => `"key${index}"`).join(' | ');
  expect(refuseGrammar(json)).toBeUndefined();
  expect(refuseGrammar(code)).toBeUndefined();
  expect(refuseGrammar(`root ::= word (" " word)*\nword ::= ${keywords}`)).toBeUndefined();
  expect(refuseGrammar('root ::= [a-z]{0,80} ("\\n" [a-z]{0,80}){0,100}')).toBeUndefined();
});

test.each([
  ['rules of optional parts', 'root ::= a{900}\na ::= b b b b\nb ::= "x"? | "y"? | "z"?', '10800 states'],
  ['optional parts in a row', `root ::= ${'"a"? '.repeat(3000)}`, '3000 states'],
  [
    'optional parts behind rules',
    `root ::= a "x"? "x"? "x"? "x"? "x"? "x"? "x"?\na ::= "b" ${'"x"? '.repeat(7)}`,
    '13 parts',
  ],
  ['the same character many times', `root ::= (${Array(40).fill('[a-z]').join(' | ')})*`, '40 parts'],
  ['a long text many times', `root ::= "${'a'.repeat(1000)}"{0,1000}`, '1003002 elements'],
  ['a part that has to come too often', 'root ::= "a"{4000}', 'at least 4000 times; at most 1998'],
  ['the same in a group', 'root ::= ("b" "a"{1999,}){0,2}', 'at least 1999 times'],
  ['repetitions backwards', 'root ::= "a"{5,2}', 'not valid'],
  ['too many keywords', `root ::= ${Array(600).fill('"ab"').join(' | ')}`, '600 states'],
])('%s are refused with the figure', (_, grammar, figure) => {
  expect(refuseGrammar(grammar)).toContain(figure);
});

test('as many optional parts as allowed pass', () => {
  expect(refuseGrammar(`root ::= ${'"a"? '.repeat(mostOverlaps)}`)).toBeUndefined();
});

test('no text makes it throw', () => {
  const piece = fc.constantFrom(
    ...[
      'root',
      '::=',
      'a',
      ' ',
      '\n',
      '"',
      '[',
      ']',
      '^',
      '(',
      ')',
      '|',
      '*',
      '+',
      '?',
      '{',
      '}',
      '9',
      ',',
      '<',
      '!',
      '\\',
      '#',
      '\0',
      'é',
    ],
    ...['root ::= ', 'a ::= ', '\na ::= ', '"x"', '[a-z]', '{0,9}', '{99999999999999999999}', '(', ') '],
  );
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 200 }).map((all) => all.join('')),
  );
  fc.assert(
    fc.property(texts, (text) => {
      expect(['string', 'undefined']).toContain(typeof refuseGrammar(text));
    }),
  );
});

test.each([
  [
    'chains of rules',
    Array.from({ length: 5000 }, (_, index) => `r${index} ::= r${index + 1}`)
      .join('\n')
      .replace('r0', 'root ::= r0\nr0'),
  ],
  ['repetitions of repetitions', `root ::= "a"${'{1}'.repeat(20_000)}`],
  ['comments in braces', `root ::= "x"{${'# '.repeat(30_000)}`],
  ['brackets without end', `root ::= ${'['.repeat(60_000)}`],
])('the largest of %s is refused', (_, grammar) => {
  expect(refuseGrammar(grammar)).toBeDefined();
});

test.each([
  ['the same class twice in a loop', 'root ::= ([a-z ] | [a-z ])*'],
  ['four times', `root ::= (${Array(4).fill('[a-z ]').join(' | ')})*`],
  ['with an end', `root ::= (${Array(4).fill('[a-z ]').join(' | ')})* "\\x01"`],
  ['in a bounded loop', 'root ::= ([a-z] | [a-z]){0,100}'],
  ['by way of rules', 'root ::= x\nx ::= a x | b x | ""\na ::= [a-z]\nb ::= [b-y]'],
  ['a loop in a loop', 'root ::= ([a-z]+)*'],
  ['texts that begin alike', 'root ::= ("a" | "aa" | "aaa")*'],
  ['equal texts', 'root ::= ("ab" | "ab" | "ab")*'],
  ['behind much else', `root ::= "{" (k ":" v ",")* "}"\nk ::= [a-z]+\nv ::= "(" v ")" | ([0-9] | [1-9])*`],
])('ways to read one text that multiply are refused: %s', (_, grammar) => {
  expect(refuseGrammar(grammar)).toMatch(/same text be read in more than 1024 ways/u);
});

test.each([
  ['a class', 'root ::= [a-z ]*'],
  ['classes that are apart', 'root ::= ([a-m] | [n-z] | " ")*'],
  ['words', 'root ::= [a-z]+ (" " [a-z]+)*'],
  ['words that begin alike', 'root ::= ("for" | "format" | "from" | [0-9]+) (" " ("for" | "format"))*'],
  ['blanks twice', 'root ::= (ws "a" ws)*\nws ::= [ \\t\\n]*'],
  ['a keyword or a name', 'root ::= (("if" | "else" | [a-z]+) " ")*'],
])('ways that do not multiply pass: %s', (_, grammar) => {
  expect(refuseGrammar(grammar)).toBeUndefined();
});

/** All ways to read `text`, tried one by one: what {@link countPaths} must not be below. */
function readings(grammar: string, text: string): number {
  type Stack = readonly string[];
  const rules = new Map<string, readonly string[]>();
  for (const line of grammar.split('\n')) {
    const [name = '', body = ''] = line.split(' ::= ');
    rules.set(name, body.split(' | '));
  }
  const open = (stack: Stack): Stack[] => {
    const [top, ...rest] = stack;
    if (top === undefined || !rules.has(top)) return [stack];
    return (rules.get(top) ?? []).flatMap((body) =>
      open([...body.split(' ').filter((one) => one !== '-'), ...rest]),
    );
  };
  const distinct = (stacks: readonly Stack[]): Stack[] => [
    ...new Map(stacks.map((stack) => [stack.join(' '), stack])).values(),
  ];
  const walk = (stack: Stack, from: number): number => {
    const [top, ...rest] = stack;
    if (top === undefined || top !== text[from]) return 0;
    if (from === text.length - 1) return 1;
    return distinct(open(rest)).reduce((sum, next) => sum + walk(next, from + 1), 0);
  };
  return distinct(open(['root'])).reduce((sum, stack) => sum + walk(stack, 0), 0);
}

test('ways are counted as they are, tried one by one', () => {
  // Rules that call each other at their ends only, over two characters; `-` is nothing.
  const body = fc
    .array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 2 })
    .chain((letters) => fc.constantFrom('', 'x', 'y').map((call) => [...letters, call].join(' ').trim()));
  const rule = fc.uniqueArray(body, { minLength: 1, maxLength: 3 }).map((bodies) => bodies.join(' | '));
  const grammars = fc.tuple(rule, rule).map(([x, y]) => `root ::= x\nx ::= ${x}\ny ::= ${y}`);
  fc.assert(
    fc.property(
      grammars,
      fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 9 }),
      (grammar, text) => {
        const gbnf = grammar.replaceAll(/\b([ab])\b/gu, '"$1"');
        const counted = countPaths(readGbnf(gbnf), 1_000_000);
        expect(counted).not.toBe('unknown');
        expect(Number(counted)).toBeGreaterThanOrEqual(readings(grammar, text));
      },
    ),
    { numRuns: 1000 },
  );
});

test.each([
  ['optional parts', `root ::= ${'[a-z]? '.repeat(9000)}`],
  ['anything', `root ::= ${'.* '.repeat(20_000)}`],
  ['loops', `root ::= ${'("a" | [b-z])* '.repeat(4000)}`],
  [
    'a chain',
    `root ::= r0\n${Array.from({ length: 2500 }, (_, index) => `r${index} ::= "a" r${index + 1} | "b"`).join('\n')}\nr2500 ::= "c"`,
  ],
  ['characters', `root ::= ${'. '.repeat(32_000)}`],
])('the largest grammar of %s is judged before anyone waits for it', (_, grammar) => {
  const started = process.cpuUsage();
  refuseGrammar(grammar);
  // It takes a quarter of a second of one slow core.
  expect(process.cpuUsage(started).user / 1000).toBeLessThan(3000);
});
