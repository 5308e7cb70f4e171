import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deepestGroups } from './gbnf.js';
import { mostOverlaps, refuseGrammar } from './grammar-guard.js';

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
  ['rules of optional parts', 'root ::= a{900}\na ::= b b b b\nb ::= "x"? | "y"? | "z"?', '10812 states'],
  ['optional parts in a row', `root ::= ${'"a"? '.repeat(3000)}`, '3000 states'],
  [
    'optional parts behind rules',
    `root ::= a "x"? "x"? "x"? "x"? "x"? "x"? "x"?\na ::= "b" ${'"x"? '.repeat(7)}`,
    '14 parts',
  ],
  ['the same character many times', `root ::= (${Array(40).fill('[a-z]').join(' | ')})*`, '40 parts'],
  ['a long text many times', `root ::= "${'a'.repeat(1000)}"{0,1000}`, '1003002 elements'],
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
