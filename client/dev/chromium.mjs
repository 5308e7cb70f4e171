import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { Failure } from './console.mjs';

/** Where systems keep it, or its relatives. */
const usualPlaces = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/snap/bin/chromium',
  '/usr/bin/google-chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The browser that the tests drive: `$CHROMIUM_PATH`, else where systems keep it. @returns {string | undefined} */
export function findChromium() {
  const chosen = process.env.CHROMIUM_PATH;
  const onPath = (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, 'chromium'));
  const places = chosen === undefined || chosen === '' ? [...usualPlaces, ...onPath] : [chosen];
  return places.find((place) => existsSync(place));
}

/** As {@link findChromium}. @throws Failure that says what to install */
export function chromiumPath() {
  const found = findChromium();
  if (found !== undefined) return found;
  const chosen = process.env.CHROMIUM_PATH;
  if (chosen !== undefined && chosen !== '')
    throw new Failure(`CHROMIUM_PATH names ${chosen}, which is not there.`);
  const install =
    process.platform === 'darwin'
      ? 'brew install --cask chromium'
      : 'your system’s package `chromium` (Debian and Ubuntu: sudo apt-get install chromium; Fedora: sudo dnf install chromium)';
  throw new Failure(
    `The VS Code tests need Chromium. Install ${install}, or set CHROMIUM_PATH to a Chromium or Chrome. ` +
      'To run everything else: HEARTH_SKIP_VSCODE=1 npm test',
  );
}
