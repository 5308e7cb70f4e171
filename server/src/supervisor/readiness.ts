import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { askModels, type ModelEntry } from '../upstream/models.js';
import type { Upstream } from '../upstream/upstream.js';

/** Where a service listens. */
export interface ServicePlace {
  readonly host: string;
  readonly port: number;
}

/** Milliseconds for a TCP connection, and for an answer (row 122; behaviours.md 3.3). */
const connectMs = 50;
const answerMs = 500;
/** Between two tries, and how much longer each is once the service is slow to start. */
const firstPauseMs = 100;
const longestPauseMs = 1000;
const quickTries = 20;

/** `http://host:port` of a service. */
export function originOf({ host, port }: ServicePlace): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Whether a service is ready: it takes connections, and answers for its models by HTTP. One that has no list of models
 * is ready too (404 counts).
 */
export async function isReady(
  upstream: Upstream,
  place: ServicePlace,
  signal?: AbortSignal,
): Promise<boolean> {
  if (!(await takesConnections(place, connectMs))) return false;
  const options = { within: answerMs, ...(signal === undefined ? {} : { signal }) };
  const { kind } = await askModels(upstream, originOf(place), options);
  return kind === 'models' || kind === 'no_list';
}

/** Whether somebody listens there. */
export function takesConnections({ host, port }: ServicePlace, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    const settle = (result: boolean) => (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(settle(false), timeoutMs);
    socket.once('connect', settle(true)).once('error', settle(false));
  });
}

/** Resolves when `check` says so. A foreign process sends no event, so it is asked. @throws AbortError */
export async function untilReady(check: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  for (let tries = 0, pauseMs = firstPauseMs; ; tries += 1) {
    await delay(pauseMs, undefined, { signal });
    if (await check()) return;
    if (tries >= quickTries) pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }
}

/** At most so many questions for the models, and the pauses between them in milliseconds (behaviours.md 3.3). */
const modelTries = 50;
const modelPausesMs = [300, 1000] as const;
const quickModelTries = 19;

/** The models of a service that is ready. Empty: it would not say. @throws AbortError */
export async function fetchModels(
  upstream: Upstream,
  place: ServicePlace,
  signal: AbortSignal,
): Promise<readonly ModelEntry[]> {
  for (let tries = 1; ; tries += 1) {
    const answer = await askModels(upstream, originOf(place), { within: 5000, signal });
    if (answer.kind === 'models' && answer.models.length > 0) return answer.models;
    if (tries >= modelTries) return [];
    await delay(modelPausesMs[tries <= quickModelTries ? 0 : 1], undefined, { signal });
  }
}
