import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the repository. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** A path inside the repository. @param {readonly string[]} parts */
export const inRoot = (...parts) => path.join(root, ...parts);

/** Where what is downloaded for the editor lives, outside node_modules so that `npm ci` leaves it alone. */
export const editorCache = inRoot('.vscode-test');
