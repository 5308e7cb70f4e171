import fc from 'fast-check';

/**
 * Property tests try the same cases in every run, so that a commit which passed once passes again. `FC_SEED=random`
 * looks for new ones, `FC_SEED=<number>` repeats a run whose seed a failure printed.
 */
const wanted = process.env['FC_SEED'] ?? '20261121';
if (wanted !== 'random') fc.configureGlobal({ seed: Number.parseInt(wanted, 10) });
