import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { partNames, schemaFiles, withGeneratedParts } from '../reference/artifacts.js';
import { generateRequestSchema } from '../src/request.js';
import { loadVectors } from './conformance.js';
import { bytesOf } from '../src/vectors.js';
import { NdjsonDecoder, parseLine } from '../src/ndjson.js';

const directory = fileURLToPath(new URL('../schema', import.meta.url));
const document = await readFile(new URL('../PROTOCOL.md', import.meta.url), 'utf8');

/** When one of these fails, a source has changed: run `node protocol/reference/generate.mjs` and commit. */
describe('what is generated agrees with the sources', () => {
  test('the JSON Schemas', async () => {
    const expected = await schemaFiles(directory);
    expect((await readdir(directory)).sort()).toEqual([...expected.keys()].sort());
    for (const [name, text] of expected)
      expect(await readFile(`${directory}/${name}`, 'utf8'), name).toBe(text);
  });

  test('the tables of PROTOCOL.md', () => {
    expect(withGeneratedParts(document)).toBe(document);
  });

  test.each(partNames())('PROTOCOL.md has the part %s', (name) => {
    expect(document).toContain(`<!-- generated: ${name} -->\n`);
  });

  test('every anchor of PROTOCOL.md leads somewhere', () => {
    const headings = [...document.matchAll(/^#+ (.*)$/gm)].map(([, text]) =>
      (text ?? '')
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    );
    for (const [, anchor] of document.matchAll(/\]\(#([^)]*)\)/g)) expect(headings).toContain(anchor);
  });
});

test('the JSON Schema of a request judges the requests of the vectors as Hearth does', async () => {
  // From the written file, through another reading of JSON Schema than the one that wrote it.
  const schema = JSON.parse(
    await readFile(`${directory}/request.json`, 'utf8'),
  ) as z.core.JSONSchema.JSONSchema;
  // It cannot read these two, so requests that turn on them are left out below.
  delete schema.oneOf;
  delete schema['dependentRequired'];
  const fromFile = z.fromJSONSchema(schema);
  const { daemon } = await loadVectors();
  let judged = 0;
  for (const vector of daemon.vectors) {
    // Nor can JSON Schema count bytes.
    if (/grammar|addition/.test(vector.name)) continue;
    for (const line of new NdjsonDecoder().push(bytesOf(vector.input))) {
      const parsed = parseLine(line);
      if (parsed.kind !== 'value' || Object.hasOwn(parsed.value, '__proto__')) continue;
      if (parsed.value['messages'] === undefined) continue;
      judged += 1;
      const ours = generateRequestSchema.safeParse(parsed.value).success;
      expect(fromFile.safeParse(parsed.value).success, vector.name).toBe(ours);
    }
  }
  expect(judged).toBeGreaterThan(30);
});
