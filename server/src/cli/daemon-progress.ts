import type { AdminFrame } from '@hearth/protocol';

/** One line that says where a starting daemon has got to; undefined for what is of no interest while waiting. */
export function describeProgress(frame: AdminFrame): string | undefined {
  switch (frame.status) {
    case 'starting':
      return 'starting';
    case 'loading_model':
    case 'restarting':
      return describePhase(frame);
    case 'ready':
      return 'ready';
    case 'failed':
      return `${frame.backend} failed: ${frame.reason}`;
    case 'draining':
      return 'shutting down';
    case 'capabilities':
      return undefined;
  }
}

function describePhase(frame: Extract<AdminFrame, { status: 'loading_model' | 'restarting' }>): string {
  if (!('phase' in frame)) return 'restarting the engine';
  switch (frame.phase) {
    case 'checking_local':
      return 'loading the model: looking at the file';
    case 'download':
      return 'downloading the model';
    case 'verify':
      return 'loading the model: checking its sha256';
    case 'quarantine':
      return 'the model file was damaged and has been put aside';
    case 'mmap':
      return frame.progress === undefined
        ? 'loading the model: reading weights'
        : `loading the model: reading weights, ${String(Math.round(frame.progress * 100))} %`;
    case 'kv_cache':
      return `loading the model: making room for ${String(frame.n_ctx)} tokens of context`;
  }
}

/**
 * Writes progress to standard error: over one line on a terminal; elsewhere a line each where more than its figures
 * changes.
 */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #last = '';

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  show(text: string): void {
    const news = this.#stream.isTTY ? text : text.replaceAll(/\d+/gu, '');
    if (news === this.#last) return;
    this.#last = news;
    this.#stream.write(this.#stream.isTTY ? `\r\u001b[K${text}` : `hearth: ${text}\n`);
  }

  /** Takes the line away, on a terminal. */
  clear(): void {
    if (this.#last !== '' && this.#stream.isTTY) this.#stream.write('\r\u001b[K');
    this.#last = '';
  }
}
