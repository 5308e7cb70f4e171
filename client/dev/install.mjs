import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { complain, step } from './console.mjs';
import { inRoot, root } from './paths.mjs';
import { npm } from './processes.mjs';

/**
 * Installs the packages that package-lock.json names, when that has not been done yet. `npm ci` by hand does the
 * same: npm calls this file afterwards (`postinstall`) to take away what this machine cannot use.
 */

const stampFile = inRoot('node_modules/.hearth-installed');

/**
 * Makes node_modules what package-lock.json says. Without anything to do it reads two files and touches no network.
 *
 * @param {{ signal?: AbortSignal | undefined }} [options]
 */
export async function install({ signal } = {}) {
  if (installed()) return;
  await step('Installing packages', async (note) => {
    // Everything is there ready-made, so no package's install script is needed. `include` outdoes settings that
    // leave out what builds and tests need.
    const flags = ['--ignore-scripts', '--include=dev', '--include=optional', '--prefer-offline'];
    await npm(['ci', ...flags, '--loglevel=http'], {
      cwd: root,
      signal,
      onLine: (line) => {
        const fetched = /http fetch GET \d+ \S*\/([^/\s]+\.tgz)/.exec(line)?.[1];
        if (fetched !== undefined) note(fetched);
      },
    });
    finish();
  });
}

function installed() {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === fingerprint();
}

function fingerprint() {
  const lock = createHash('sha256')
    .update(readFileSync(inRoot('package-lock.json')))
    .digest('hex');
  return `${lock} ${process.platform}-${process.arch}\n`;
}

/** What follows every installation. */
function finish() {
  prune();
  writeFileSync(stampFile, fingerprint());
}

/**
 * Takes away what the engine brings and this machine cannot use: llama.cpp's sources (35 MB), and builds for other
 * machines (32 MB), because some packages name a wider range of machines than they run on.
 */
function prune() {
  const modules = inRoot('node_modules');
  rmSync(path.join(modules, 'node-llama-cpp/llama/gitRelease.bundle'), { force: true });
  const arch = process.arch === 'arm' ? 'armv7l' : process.arch;
  const systems = /** @type {Partial<Record<NodeJS.Platform, string>>} */ ({ darwin: 'mac', win32: 'win' });
  const engine = `${systems[process.platform] ?? process.platform}-${arch}`;
  keepOnly(path.join(modules, '@node-llama-cpp'), engine);
  keepOnly(path.join(modules, 'fs-native-extensions/prebuilds'), `${process.platform}-${process.arch}`);
  keepOnly(path.join(modules, '@koromix'), `koffi-${process.platform}-${process.arch}`);
}

/**
 * @param {string} folder
 * @param {string} machine entries of this name, or of this name and more (`linux-x64-vulkan`), stay
 */
function keepOnly(folder, machine) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    // Links lead to the stand-ins in this repository and take no room.
    if (entry.isSymbolicLink() || entry.name === machine || entry.name.startsWith(`${machine}-`)) continue;
    rmSync(path.join(folder, entry.name), { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.env.npm_lifecycle_event === 'postinstall') finish();
    else await install();
  } catch (error) {
    complain(error);
    process.exitCode = 1;
  }
}
