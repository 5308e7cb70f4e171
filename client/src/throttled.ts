/** A function that runs at most once in a while, and always once more after the last call. */
export interface Throttled {
  readonly call: () => void;
  readonly dispose: () => void;
}

/** @param intervalMs Least time between two runs. The first call runs at once. */
export function throttled(intervalMs: number, run: () => void): Throttled {
  let timer: NodeJS.Timeout | undefined;
  let again = false;
  const call = (): void => {
    if (timer !== undefined) {
      again = true;
      return;
    }
    run();
    timer = setTimeout(() => {
      timer = undefined;
      if (again) {
        again = false;
        call();
      }
    }, intervalMs);
  };
  return { call, dispose: () => clearTimeout(timer) };
}
