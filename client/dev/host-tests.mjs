import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { inRoot, root } from './paths.mjs';

const suites = inRoot('test/vscode/host');
const out = inRoot('test/output/host');

/**
 * Bundles test/vscode/host/*.test.ts for the extension host, which loads CommonJS.
 *
 * @returns {Promise<string>} the file whose `run` runs them
 */
export async function buildHostTests() {
  rmSync(out, { recursive: true, force: true });
  const tests = readdirSync(suites).filter((name) => name.endsWith('.test.ts'));
  if (tests.length === 0) throw new Error(`There is no suite in ${suites}`);
  await esbuild.build({
    absWorkingDir: root,
    entryPoints: [
      ...tests.map((name) => ({ in: path.join(suites, name), out: path.basename(name, '.ts') })),
      { in: inRoot('test/vscode/harness/host-entry.ts'), out: 'host-entry' },
    ],
    outdir: out,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    conditions: ['hearth-source'],
    mainFields: ['module', 'main'],
    external: ['vscode', 'mocha'],
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  return path.join(out, 'host-entry.cjs');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildHostTests();
