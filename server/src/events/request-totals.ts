import type { ActivityRecord, MetricsBody } from '@hearth/protocol';

const failures: ReadonlySet<ActivityRecord['msg']> = new Set([
  'request_rejected',
  'request_error_pre_stream',
  'request_error_mid_stream',
]);

/** What became of all requests since the start, as the activity log told it. */
export class RequestTotals {
  #requests = 0;
  #failed = 0;
  #promptTokens = 0;
  #completionTokens = 0;

  note(record: ActivityRecord): void {
    if (record.msg === 'request_done') {
      this.#requests += 1;
      this.#promptTokens += record.prompt_tokens;
      this.#completionTokens += record.completion_tokens;
    } else if (record.msg === 'request_cancelled') {
      this.#requests += 1;
      this.#completionTokens += record.completion_tokens;
    } else if (failures.has(record.msg)) {
      this.#requests += 1;
      this.#failed += 1;
    }
  }

  get counts(): Pick<MetricsBody, 'requests' | 'failed' | 'prompt_tokens' | 'completion_tokens'> {
    return {
      requests: this.#requests,
      failed: this.#failed,
      prompt_tokens: this.#promptTokens,
      completion_tokens: this.#completionTokens,
    };
  }
}
