import { defineConfig } from 'vitest/config';

/** Workspace packages resolve to their TypeScript sources; nothing has to be built for a unit test. */
const conditions = ['hearth-source', 'node', 'import', 'module', 'default'];
/** For the projects that have property tests. */
const setupFiles = ['./test/support/seed.ts'];
/** A second try for an unlucky moment of a busy machine; `npm test` names the tests that needed one. */
const retry = 1;
const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
};

export default defineConfig({
  test: {
    // Two workers leave a two-core machine usable, and the processes under test need their share.
    maxWorkers: 2,
    passWithNoTests: false,
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          retry,
          setupFiles,
          include: [
            'protocol/{src,node}/**/*.test.ts',
            'server/{src,pilot}/**/*.test.ts',
            'client/src/**/*.test.ts',
            'client/dev/**/*.test.ts',
            'test/{lint,support}/**/*.test.ts',
          ],
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'acceptance',
          retry,
          setupFiles,
          include: ['test/{acceptance,faults}/**/*.test.ts'],
          globalSetup: ['test/support/built.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        ...shared,
        test: {
          // A real VS Code in a browser: one at a time, and slow to start.
          name: 'vscode',
          retry,
          include: ['test/vscode/**/*.test.ts'],
          exclude: ['test/vscode/host/**'],
          globalSetup: ['test/support/built.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
