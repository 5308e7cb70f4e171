import process from 'node:process';

/** `npm run bench -- NAME [flags]`: measures, and prints. */

/** @type {Record<string, () => Promise<(args: string[]) => Promise<void>>>} */
const benches = {
  models: async () => (await import('./models.mjs')).models,
  core: async () => (await import('./core.mjs')).core,
  router: async () => (await import('./router.mjs')).router,
  events: async () => (await import('./events.mjs')).events,
  gateway: async () => (await import('./gateway.mjs')).gateway,
  engine: async () => (await import('./engine.mjs')).engine,
  'ghost-text': async () => (await import('./ghost-text.mjs')).ghostText,
};

const [name = '', ...args] = process.argv.slice(2);
const load = benches[name];
if (load === undefined) {
  process.stderr.write(`Which? npm run bench -- ${Object.keys(benches).join('|')} [--full] [--json FILE]\n`);
  process.exitCode = 2;
} else {
  await (
    await load()
  )(args);
}
