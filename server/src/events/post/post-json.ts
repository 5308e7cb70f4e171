import { Agent, request } from 'undici';

/** Posts JSON to a server on this machine, once and for a short time. */
export interface JsonPoster {
  /** @throws Error where it was not taken, in time and with a status below 300. Its text holds nothing of what was sent. */
  post(path: string, body: unknown): Promise<void>;
  /** Gives up what is under way. */
  abort(): void;
}

export interface JsonPosterOptions {
  /** As {@link loopbackUrl} gave it. */
  readonly base: string;
  /** Sent as a bearer token. Never part of an error. */
  readonly token: string | undefined;
  readonly timeoutMs: number;
}

export function jsonPoster({ base, token, timeoutMs }: JsonPosterOptions): JsonPoster {
  const agent = new Agent({ connections: 2, pipelining: 1, keepAliveTimeout: 1000 });
  return {
    post: async (path, body) => {
      const signal = AbortSignal.timeout(timeoutMs);
      let status: number;
      try {
        const answer = await request(`${base}${path}`, {
          method: 'POST',
          dispatcher: agent,
          signal,
          headers: {
            'content-type': 'application/json',
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
          body: JSON.stringify(body),
        });
        status = answer.statusCode;
        await answer.body.dump({ limit: 65_536, signal });
      } catch {
        throw new Error('the event was not taken: nobody answered in time');
      }
      if (status >= 300) throw new Error(`the event was not taken: status ${String(status)}`);
    },
    abort: () => {
      agent.destroy().catch(() => undefined);
    },
  };
}
