/** The tests of the engine on the driver that is the fallback. */
process.env['HEARTH_TEST_DRIVER'] = 'addon';
await import('./llama-engine.test.js');
