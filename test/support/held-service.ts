import { onTestFinished } from 'vitest';
import { configured, type HearthProcess, type Scope, type ServeOptions } from './daemon.js';
import { isObject } from './raw-client.js';
import { chunk, completions, type Seen, UpstreamServer } from './upstream.js';

/**
 * A service behind a daemon that stands still in the middle of its answers until the test lets it go on. What "runs" in
 * a test runs for as long as the test needs, on a machine that is as slow as it likes.
 */
export class HeldService {
  readonly server: UpstreamServer;
  readonly #waiting: (() => void)[] = [];
  #isHeld = true;

  private constructor(server: UpstreamServer) {
    this.server = server;
  }

  /**
   * Listens until the test is over.
   *
   * @param tokens of each answer; it stands still after the first
   * @param holds which requests, by what the last message says. Default: all.
   */
  static async listen(
    tokens: readonly string[],
    holds: (said: string) => boolean = () => true,
  ): Promise<HeldService> {
    const [first = '', ...others] = tokens;
    const whole = completions(tokens);
    const server = await UpstreamServer.listen(async (response, seen) => {
      if (seen.path === '/v1/models' || !held.#isHeld || !holds(lastSaid(seen))) {
        whole(response, seen);
        return;
      }
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(chunk(first));
      await Promise.race([new Promise<void>((resolve) => held.#waiting.push(resolve)), seen.closed]);
      if (response.destroyed) return;
      for (const token of others) response.write(chunk(token));
      response.write(chunk('', 'stop'));
      const usage = { prompt_tokens: 7, completion_tokens: tokens.length };
      response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
    });
    const held = new HeldService(server);
    onTestFinished(() => server.close());
    return held;
  }

  /** Lets the answers that stand still go on, and holds none any more. */
  release(): void {
    this.#isHeld = false;
    for (const goOn of this.#waiting.splice(0)) goOn();
  }
}

/** A drain waits for what stands still: longer than a slow machine takes to see that it does. */
export const patientDrain = ['--drain-timeout-secs', '100'] as const;

/** Runs `hearth serve` with `service` as its one backend, and waits until it serves. */
export async function serveBefore(
  scope: Scope,
  { server }: HeldService,
  options: Pick<ServeOptions, 'args'> = {},
): Promise<HearthProcess> {
  const home = scope.makeHome();
  const backends = [{ kind: 'openai-compat', name: 'held', base_url: server.url }];
  return scope.serve({
    plain: true,
    home,
    args: [...configured(home, { backends }), ...patientDrain, ...(options.args ?? [])],
  });
}

/** The text of the last message of a request to the service. */
function lastSaid({ body }: Seen): string {
  const asked: unknown = JSON.parse(body.toString());
  const messages =
    isObject(asked) && Array.isArray(asked['messages']) ? (asked['messages'] as unknown[]) : [];
  const last = messages.at(-1);
  return isObject(last) && typeof last['content'] === 'string' ? last['content'] : '';
}
