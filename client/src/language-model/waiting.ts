import { ProgressLocation, window } from 'vscode';
import { waitNews } from '../streaming/wait-news.js';

/** Time without a piece of the answer after which somebody may wonder, in milliseconds. */
const patienceMs = 1500;

/** Says in the status bar what a request waits for, for as long as nothing of the answer has come. */
export interface Waiting {
  /** Takes what comes of the request beside its text. */
  readonly news: ReturnType<typeof waitNews>;
  /** The answer has begun, or nobody waits any more. May be called again. */
  readonly over: () => void;
}

/** Begins to wait. Nothing is shown where the answer begins at once. */
export function waiting(): Waiting {
  const began = Date.now();
  let words = 'waiting';
  let tell = (): void => undefined;
  let end = (): void => undefined;
  const show = (): void => {
    void window.withProgress(
      { location: ProgressLocation.Window, title: 'Hearth' },
      (progress) =>
        new Promise<void>((resolve) => {
          tell = () => {
            progress.report({ message: `${words} (${Math.round((Date.now() - began) / 1000)} s)` });
          };
          tell();
          const clock = setInterval(tell, 1000);
          end = () => {
            clearInterval(clock);
            resolve();
          };
        }),
    );
  };
  const timer = setTimeout(show, patienceMs);
  return {
    news: waitNews((next) => {
      words = next;
      tell();
    }),
    over: () => {
      clearTimeout(timer);
      end();
    },
  };
}
