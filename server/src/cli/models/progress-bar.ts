import type { PullProgress } from '../../models/pull/pull-model.js';
import { showBytes, showSeconds } from './format.js';

const barWidth = 24;
/** Where nobody looks on, a line is written each time another tenth is done. */
const stepShare = 0.1;

/** How far a pull has got, on standard error: one line that moves on a terminal, and few lines anywhere else. */
export class ProgressBar {
  readonly #isTerminal = process.stderr.isTTY;
  #startedAt: number | undefined;
  #startedBytes = 0;
  #shownShare = -1;
  #part = 0;
  #isShown = false;

  show(progress: PullProgress): void {
    const { totalBytes, part } = progress;
    // What is left of a file from before comes at once, and is no speed.
    if (part !== undefined && part.index !== this.#part) {
      [this.#part, this.#startedAt] = [part.index, undefined];
    }
    const which = part === undefined ? '' : `file ${String(part.index)} of ${String(part.count)}  `;
    const bytes = progress.phase === 'download' ? progress.downloadedBytes : progress.hashedBytes;
    if (progress.phase === 'download' && this.#startedAt === undefined) {
      [this.#startedAt, this.#startedBytes] = [performance.now(), bytes];
    }
    const line =
      progress.phase === 'verify'
        ? `checking   ${which}${share(bytes, totalBytes)}`
        : `fetching   ${which}${this.#describe(bytes, totalBytes)}`;
    if (this.#isTerminal) {
      process.stderr.write(`\r\u001b[2K${line}`);
      this.#isShown = true;
      return;
    }
    if (progress.phase === 'verify') return;
    const done = totalBytes === null || totalBytes === 0 ? 0 : bytes / totalBytes;
    if (done - this.#shownShare < stepShare && done < 1) return;
    if (done === this.#shownShare) return;
    this.#shownShare = done;
    process.stderr.write(`${line}\n`);
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#isShown) process.stderr.write('\r\u001b[2K');
    this.#isShown = false;
  }

  #describe(bytes: number, totalBytes: number | null): string {
    const seconds = (performance.now() - (this.#startedAt ?? performance.now())) / 1000;
    const speed = seconds < 0.5 ? 0 : (bytes - this.#startedBytes) / seconds;
    const rate = speed === 0 ? '' : `  ${showBytes(speed)}/s`;
    if (totalBytes === null) return `${showBytes(bytes)}${rate}`;
    const filled = Math.round((bytes / Math.max(1, totalBytes)) * barWidth);
    const bar = `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}]`;
    const left =
      speed === 0 || bytes === totalBytes ? '' : `  ${showSeconds((totalBytes - bytes) / speed)} left`;
    return `${bar} ${share(bytes, totalBytes)}  ${showBytes(bytes)} of ${showBytes(totalBytes)}${rate}${left}`;
  }
}

function share(bytes: number, totalBytes: number | null): string {
  return totalBytes === null
    ? ''
    : `${String(Math.floor((bytes / Math.max(1, totalBytes)) * 100)).padStart(3)} %`;
}
