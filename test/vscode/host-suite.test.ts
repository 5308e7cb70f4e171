import { describe, expect, test } from 'vitest';
import { runHostTests } from './harness/run-host-tests.js';

// The tests run inside VS Code, once, before vitest knows their names; here each is reported as it came out.
const { exitCode, results } = await runHostTests();

describe('inside the extension host', () => {
  for (const { title, reason } of results.failed) {
    test(title, () => {
      expect.fail(reason);
    });
  }
  for (const { title } of results.passed) {
    const first = results.retried.find((one) => one.title === title);
    test(title, ({ task }) => {
      // It fails once here too, so that it is counted among those that needed a second try.
      if (first !== undefined && (task.result?.retryCount ?? 0) === 0) expect.fail(first.reason);
      expect(results.failed.map((failed) => failed.title)).not.toContain(title);
    });
  }
  for (const { title } of results.skipped) test.skip(title, () => undefined);

  test('VS Code ends as its tests did', () => {
    expect(results.passed.length + results.failed.length).toBeGreaterThan(0);
    expect(exitCode).toBe(results.failed.length === 0 ? 0 : 1);
  });
});
