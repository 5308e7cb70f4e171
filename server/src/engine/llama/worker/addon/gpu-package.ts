import { register } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { engineVersion } from '../../../../accelerators/packages.js';

/**
 * Lets node-llama-cpp find a build for a graphics card that was fetched into a directory of ours: it asks for the
 * package of that build by name, and gets a module that says where the build lies. What it then does with it, its own
 * test of the build included, is what it does with a package.
 *
 * @param folder Where the libraries lie. Its name is that of the build, as in `linux-x64-vulkan`.
 */
export function offerGpuPackage(folder: string): void {
  const answer = { binsDir: path.dirname(folder), packageVersion: engineVersion };
  const provided = toModule(`export const getBinsDir = () => (${JSON.stringify(answer)});`);
  const name = `@node-llama-cpp/${path.basename(folder)}`;
  register(toModule(hooks), { parentURL: pathToFileURL(folder).href, data: { name, provided } });
}

/** Runs on a thread of Node's own, where nothing of ours can be imported from. */
const hooks = `
let offer = {};
export function initialize(data) { offer = data; }
export function resolve(specifier, context, next) {
  return specifier === offer.name ? { url: offer.provided, shortCircuit: true } : next(specifier, context);
}`;

function toModule(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`;
}
