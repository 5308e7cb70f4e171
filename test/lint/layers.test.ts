import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';
import { describe, expect, test } from 'vitest';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const eslint = new ESLint({
  cwd: root,
  // The planted files are in no TypeScript project. The layer rules need no types.
  overrideConfig: { ...tseslint.configs.disableTypeChecked, files: ['**/*.ts'] },
});

/** The messages about layers for `source`, were it the file `at`. */
async function layerErrors(at: string, source: string): Promise<readonly string[]> {
  const [result] = await eslint.lintText(source, { filePath: path.join(root, at) });
  if (result === undefined) throw new Error(`${at} was not linted`);
  const broken = result.messages.find((message) => message.fatal === true);
  if (broken !== undefined) throw new Error(`${at}: ${broken.message}`);
  return result.messages
    .filter(({ ruleId }) => /no-cycle|no-restricted/.test(ruleId ?? ''))
    .map(({ message }) => message);
}

/** An import of some module that exists in `folder`, or of `folder` itself where it is a file, as written in `at`. */
function importOf(at: string, folder: string): string {
  const target = folder.endsWith('.ts') ? folder : `${folder}/${someModule(folder)}`;
  const relative = path.relative(path.dirname(at), target).replace(/\.ts$/, '.js');
  return `import * as planted from '${relative.startsWith('.') ? relative : `./${relative}`}';\nexport { planted };\n`;
}

function someModule(folder: string): string {
  const files = readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' });
  const found = files.find((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  if (found === undefined) throw new Error(`${folder} holds no module to import`);
  return found;
}

describe('given a file in one layer, when it imports from a layer it may not know, then lint says so', () => {
  const parts = [
    ...['accelerators', 'admission', 'router', 'engine', 'models', 'events', 'lock', 'connections', 'config'],
    ...['completion', 'http', 'upstream'],
  ];
  test.each([
    ['protocol/src/planted.ts', 'server/src/daemon-api.ts', 'lowest layer'],
    ['protocol/src/planted.ts', 'client/src', 'lowest layer'],
    ['protocol/node/planted.ts', 'server/src/daemon-api.ts', 'lowest layer'],
    ['protocol/src/planted.ts', 'protocol/node/index.ts', 'runs anywhere'],
    ['server/src/planted.ts', 'client/src', 'meet in protocol/'],
    ['server/src/planted.ts', 'server/pilot', 'no part of the product'],
    ['client/src/planted.ts', 'server/src/daemon-api.ts', 'meet in protocol/'],
    ...parts.flatMap((part) => [
      [`server/src/${part}/planted.ts`, 'server/src/endpoints', 'not back'],
      [`server/src/${part}/planted.ts`, 'server/src/main.ts', 'not back'],
    ]),
    ['server/src/endpoints/admin/planted.ts', 'server/src/main.ts', 'daemon-api.ts only'],
    ['server/src/endpoints/admin/planted.ts', 'server/src/engine/llama', 'daemon-api.ts only'],
    ['server/src/router/planted.ts', 'server/src/engine/llama', 'engine/engine.ts only'],
    ['server/src/admission/planted.ts', 'server/src/engine/mock', 'engine/engine.ts only'],
    ['server/src/engine/engine.ts', 'server/src/engine/llama', 'no implementation'],
    ['server/src/daemon-api.ts', 'server/src/lock', 'no implementation'],
  ])('%s imports %s', async (at, from, message) => {
    expect(await layerErrors(at, importOf(at, from))).toEqual([expect.stringContaining(message)]);
  });

  test.each([
    ['server/src/router/planted.ts', 'server/src/engine/engine.ts'],
    ['server/src/endpoints/admin/planted.ts', 'server/src/daemon-api.ts'],
    ['server/src/daemon-api.ts', 'server/src/engine/engine.ts'],
    ['server/src/daemon.ts', 'server/src/endpoints'],
    ['client/src/planted.ts', 'protocol/src/index.ts'],
  ])('but not where %s imports %s', async (at, from) => {
    expect(await layerErrors(at, importOf(at, from))).toEqual([]);
  });
});

describe('given a package or host interface that one folder owns, when another uses it, then lint says so', () => {
  const forms = (name: string) => [
    `import * as planted from '${name}';\nexport { planted };\n`,
    `export * from '${name}';\n`,
    `export const planted = await import('${name}');\n`,
    `export const planted: unknown = require('${name}');\n`,
  ];
  test.each([
    ['node-llama-cpp', 'server/src/models/planted.ts', 'server/src/engine/llama/planted.ts'],
    ['node-llama-cpp', 'client/src/planted.ts', 'server/src/engine/llama/worker/planted.ts'],
    ['@node-llama-cpp/linux-x64', 'server/src/engine/planted.ts', 'server/src/engine/llama/planted.ts'],
    ['koffi', 'server/src/lock/planted.ts', 'server/src/connections/planted.ts'],
    ['koffi', 'server/src/endpoints/planted.ts', 'server/src/engine/llama/planted.ts'],
    ['vscode', 'server/src/planted.ts', 'client/src/planted.ts'],
    ['vscode', 'protocol/node/planted.ts', 'test/vscode/host/planted.ts'],
    ['undici', 'server/src/planted.ts', 'server/src/models/pull/planted.ts'],
    ['undici', 'client/src/planted.ts', 'server/src/engine/remote/planted.ts'],
    ['undici', 'server/src/registry/planted.ts', 'server/src/upstream/planted.ts'],
  ])('%s: not %s, but %s', async (name, outside, inside) => {
    for (const source of forms(name)) {
      expect(await layerErrors(outside, source), source).toEqual([expect.stringContaining('Only ')]);
      expect(await layerErrors(inside, source), source).toEqual([]);
    }
  });

  test.each([
    `import { request } from 'node:http';\nexport { request };\n`,
    `import { get } from 'https';\nexport { get };\n`,
    `import http from 'node:http';\nexport { http };\n`,
    `import * as http from 'node:http';\nexport { http };\n`,
    `import { connect } from 'node:http2';\nexport { connect };\n`,
    `import { connect } from 'node:tls';\nexport { connect };\n`,
    `export const http = await import('node:http');\n`,
    `export const answer = fetch('http://example.com');\n`,
    `export const answer = globalThis.fetch('http://example.com');\n`,
    `export const socket = new WebSocket('ws://example.com');\n`,
  ])('an outbound connection: %s', async (source) => {
    const only = [expect.stringContaining('open outbound connections')];
    expect(await layerErrors('server/src/router/planted.ts', source)).toEqual(only);
    expect(await layerErrors('client/src/planted.ts', source)).toEqual(only);
    expect(await layerErrors('protocol/node/planted.ts', source)).toEqual(only);
    expect(await layerErrors('server/src/models/pull/planted.ts', source)).toEqual([]);
    expect(await layerErrors('server/src/events/post/planted.ts', source)).toEqual([]);
    expect(await layerErrors('server/src/events/planted.ts', source)).toEqual(only);
    expect(await layerErrors('server/src/channels/planted.ts', source)).toEqual(only);
  });

  test('a server of HTTP is no outbound connection', async () => {
    const source = `import { createServer } from 'node:http';\nexport { createServer };\n`;
    expect(await layerErrors('server/src/endpoints/http/planted.ts', source)).toEqual([]);
  });

  test.each([
    ...forms('node:fs'),
    ...forms('fs'),
    ...forms('fs/promises'),
    ...forms('vscode-jsonrpc/node.js'),
    `export const planted = process.pid;\n`,
    `export const planted = Buffer.alloc(1);\n`,
  ])('Node in protocol/src: %s', async (source) => {
    const anywhere = [expect.stringContaining('runs anywhere')];
    expect(await layerErrors('protocol/src/planted.ts', source)).toEqual(anywhere);
    expect(await layerErrors('protocol/node/planted.ts', source)).toEqual([]);
  });

  test('vscode in protocol/src', async () => {
    for (const source of forms('vscode')) {
      expect(await layerErrors('protocol/src/planted.ts', source)).toEqual([
        expect.stringContaining('Only client/'),
      ]);
    }
  });
});

test('given a module that imports another, when that one imports it back, then lint reports the cycle', async () => {
  const errors = await layerErrors(
    'protocol/src/errors.ts',
    importOf('protocol/src/errors.ts', 'protocol/src/request.ts'),
  );
  expect(errors).toEqual([expect.stringContaining('cycle')]);
});
