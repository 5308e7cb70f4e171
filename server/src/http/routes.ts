import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpError } from './http-error.js';

/** A request whose route is known. */
export interface RoutedRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What stood in place of `:name` in the route's path, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Such as `/services/:name/health`. */
  readonly path: string;
  readonly handle: (routed: RoutedRequest) => Promise<void> | void;
}

/** A route that was found, with what its handler needs of the request line. */
export interface FoundRoute {
  readonly route: HttpRoute;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

/** The routes of one server. Paths without parameters, which most requests name, are looked up at once. */
export class RouteTable {
  readonly #plain = new Map<string, HttpRoute[]>();
  readonly #patterns: { readonly route: HttpRoute; readonly parts: readonly string[] }[] = [];

  constructor(routes: readonly HttpRoute[]) {
    for (const route of routes) {
      const parts = route.path.split('/');
      if (parts.some((part) => part.startsWith(':'))) this.#patterns.push({ route, parts });
      else this.#plain.set(route.path, [...(this.#plain.get(route.path) ?? []), route]);
    }
  }

  /** Undefined where no path fits. `HEAD` is served by `GET`. @throws HttpError 405, 400 */
  find(request: IncomingMessage): FoundRoute | undefined {
    const [path, query] = splitTarget(request.url ?? '/');
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const candidates = this.#plain.get(path) ?? this.#fitting(path);
    const route = candidates.find((one) => one.method === method);
    if (route !== undefined)
      return { route, parameters: parametersOf(route.path, path), query: new URLSearchParams(query) };
    if (candidates.length === 0) return undefined;
    const allowed = candidates.map((one) => one.method).join(', ');
    throw new HttpError(405, `Use ${allowed.replaceAll(', ', ' or ')} here.`, {
      headers: { Allow: allowed },
    });
  }

  #fitting(path: string): readonly HttpRoute[] {
    const given = path.split('/');
    return this.#patterns
      .filter(
        ({ parts }) =>
          parts.length === given.length &&
          parts.every((part, index) => part.startsWith(':') || part === given[index]),
      )
      .map(({ route }) => route);
  }
}

/** Path and query of a request line. */
export function splitTarget(target: string): readonly [path: string, query: string] {
  const mark = target.indexOf('?');
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
}

function parametersOf(pattern: string, path: string): Readonly<Record<string, string>> {
  if (!pattern.includes(':')) return none;
  const given = path.split('/');
  const named = pattern
    .split('/')
    .flatMap((part, index) =>
      part.startsWith(':') ? [[part.slice(1), decode(given[index] ?? '')] as const] : [],
    );
  return Object.fromEntries(named);
}

const none: Readonly<Record<string, string>> = {};

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new HttpError(400, 'The path is not valid percent encoding.', { cause });
  }
}
