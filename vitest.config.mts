import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Workspace packages resolve to their TypeScript sources; nothing has to be built for a unit test. */
const conditions = ['hearth-source', 'node', 'import', 'module', 'default'];
/** Property tests try the same cases each time, and whoever waits for something has patience. */
const setupFiles = ['./test/support/seed.ts', './test/support/patience.ts'];
const patient = { poll: { timeout: 20_000 } };
/** A second try for an unlucky moment of a busy machine; `npm test` names the tests that needed one. */
const retry = 1;
/** Files that take long for their size: vitest begins with the largest, and would leave these to one worker at the end. */
const longFiles = /llama-engine-addon\.test\.ts$/;
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((one, other) => rankOf(one) - rankOf(other));
  }
}
function rankOf({ moduleId }: TestSpecification): number {
  return longFiles.test(moduleId) ? 0 : 1;
}
const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
};

export default defineConfig({
  test: {
    // Two workers leave a two-core machine usable, and the processes under test need their share.
    maxWorkers: 2,
    passWithNoTests: false,
    sequence: { sequencer: LongFirst },
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          retry,
          setupFiles,
          expect: patient,
          include: [
            'protocol/{src,node}/**/*.test.ts',
            'server/{src,pilot}/**/*.test.ts',
            'client/src/**/*.test.ts',
            'client/dev/**/*.test.ts',
            'test/{lint,support}/**/*.test.ts',
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'acceptance',
          retry,
          setupFiles,
          expect: patient,
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
          setupFiles,
          expect: { poll: { timeout: 60_000 } },
          include: ['test/vscode/**/*.test.ts'],
          exclude: ['test/vscode/host/**'],
          globalSetup: ['test/support/built.ts'],
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
