import { expect, test } from 'vitest';
import { TemplateError, compileTemplate, longestTemplate } from './jinja.js';

function failure(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof TemplateError) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return 'none';
}

test('a template that does not end is ended', () => {
  const loops = '{% for a in range(60000) %}'.repeat(3) + '{% endfor %}'.repeat(3);
  const render = compileTemplate(loops, { timeoutMs: 500 });
  expect(failure(() => render({}))).toBe('failed: The template does not come to an end.');
});

test('a template that counts too far is refused before it does', () => {
  expect(failure(() => compileTemplate('{{ range(10 ** 12) }}')({}))).toMatch(/^(?:failed|unreadable)/u);
  expect(failure(() => compileTemplate('{% for a in range(1000000000) %}{% endfor %}')({}))).toBe(
    'failed: The template counts too far.',
  );
});

test.each([
  ['no Jinja', '{% for %}'],
  ['too long', ' '.repeat(longestTemplate + 1)],
  ['open', '{% if a %}'],
])('%s: it cannot be read', (_, source) => {
  expect(failure(() => compileTemplate(source))).toMatch(/^unreadable/u);
});

test('what a template calls and is not there fails', () => {
  expect(failure(() => compileTemplate('{{ nothing() }}')({}))).toMatch(/^failed/u);
});

test('it is told the time', () => {
  const now = (): Date => new Date(2026, 6, 5, 4, 3, 2);
  const render = compileTemplate("{{ strftime_now('%d %B %Y, %d %b, %H:%M:%S %q') }}", { now });
  expect(render({})).toBe('05 July 2026, 05 Jul, 04:03:02 %q');
});

test('it cannot reach what it was not given', () => {
  const render = compileTemplate(
    "{{ process is defined }}{{ ''.constructor is defined }}{{ range.constructor is defined }}",
  );
  expect(failure(() => render({}))).not.toContain('true');
});
