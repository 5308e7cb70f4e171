import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ghostTextRules } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import type { Place } from '../place.js';
import { shapeAt } from '../shape.js';
import { rules } from './rules.js';

/**
 * Golden files, one a rule. A case has a title (`# …`), the document with the cursor as `▌` and what the model wrote
 * after it between `▌` and `▐`, then `---`, and then what of that is to be left. `\r` is written as `␍`, a line
 * break as `␤`, a blank at an end as `␠`, and nothing as `∅`.
 */
const golden = fileURLToPath(new URL('./golden', import.meta.url));

interface Case {
  readonly title: string;
  readonly place: Place;
  readonly completion: string;
  readonly expected: string;
}

function casesOf(file: string): readonly Case[] {
  const [head = '', ...parts] = readFileSync(path.join(golden, file), 'utf8').split(/^# /m);
  const language = /language: (\w+)/.exec(head)?.[1] ?? 'typescript';
  return parts.map((part) => {
    const [title = '', ...rest] = part.split('\n');
    const [document = '', expected = ''] = rest.join('\n').split('\n---\n');
    const [before = '', after = ''] = document.split(/▌[^]*▐/);
    const completion = /▌([^]*)▐/.exec(document)?.[1] ?? '';
    const own = /\((\w+)\)$/.exec(title)?.[1] ?? language;
    const place = { uri: 'test:/a', language: own, before, after, start: 0 };
    return { title, place, completion: plain(completion), expected: plain(expected.replace(/\n+$/, '')) };
  });
}

function plain(text: string): string {
  return text.replaceAll('␍', '\r').replaceAll('␤', '\n').replaceAll('␠', ' ').replaceAll('∅', '');
}

describe('the rules', () => {
  it('are those of the protocol, in its order, and each has its golden file', () => {
    expect(rules.map(({ name }) => name)).toEqual(ghostTextRules);
    const files = readdirSync(golden).map((file) => file.replace(/\.txt$/, '').replaceAll('-', '_'));
    expect(files.toSorted()).toEqual([...ghostTextRules].toSorted());
  });

  for (const rule of rules) {
    describe(rule.name, () => {
      for (const { title, place, completion, expected } of casesOf(`${rule.name.replaceAll('_', '-')}.txt`)) {
        it(title, () => {
          expect(rule.apply(completion, { place, shape: shapeAt(place) })).toBe(expected);
        });
      }
    });
  }
});
