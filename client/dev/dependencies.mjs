import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './paths.mjs';

/** Packages that stay outside the bundles, because they hold native code or load files of their own. */
const unbundled = ['node-llama-cpp', 'koffi', 'fs-native-extensions'];

/**
 * Every folder in node_modules that the bundles need at run time on this machine: the unbundled packages and, in
 * turn, what they depend on.
 *
 * @returns {string[]} folders relative to the repository, such as `node_modules/koffi`, sorted
 */
export function runtimePackages() {
  /** @type {Set<string>} */
  const found = new Set();
  const waiting = unbundled.map((name) => ({ name, from: root, needed: true }));
  for (const { name, from, needed } of waiting) {
    const folder = locate(name, from);
    if (folder === undefined) {
      if (needed) throw new Error(`${name}, which ${path.relative(root, from)} needs, is not installed`);
      continue; // Optional: for another machine.
    }
    const relative = path.relative(root, folder);
    if (found.has(relative)) continue;
    const manifest = readManifest(folder);
    if (manifest.name === '@hearth/absent-engine') continue;
    found.add(relative);
    const optional = { ...manifest.optionalDependencies };
    const peers = Object.keys(manifest.peerDependencies ?? {});
    for (const dependency of Object.keys(manifest.dependencies ?? {})) {
      waiting.push({ name: dependency, from: folder, needed: !(dependency in optional) });
    }
    for (const dependency of [...Object.keys(optional), ...peers.filter((peer) => peer !== 'typescript')]) {
      waiting.push({ name: dependency, from: folder, needed: false });
    }
  }
  return [...found].sort();
}

/**
 * Node's own way of looking: in node_modules beside `from` and in every folder above it, as far as the repository.
 *
 * @param {string} name
 * @param {string} from
 */
function locate(name, from) {
  for (let folder = from; folder.startsWith(root); folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', name);
    if (existsSync(path.join(candidate, 'package.json'))) return candidate;
  }
  return undefined;
}

/**
 * @typedef {{ name?: string, dependencies?: Record<string, string>, optionalDependencies?: Record<string, string>,
 *   peerDependencies?: Record<string, string> }} Manifest
 * @param {string} folder
 * @returns {Manifest}
 */
function readManifest(folder) {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
}
