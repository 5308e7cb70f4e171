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

/** Finds the route for a request; undefined where no path fits. `HEAD` is served by `GET`. @throws HttpError 405, 400 */
export function findRoute(
  routes: readonly HttpRoute[],
  request: IncomingMessage,
):
  | {
      readonly route: HttpRoute;
      readonly parameters: Readonly<Record<string, string>>;
      readonly query: URLSearchParams;
    }
  | undefined {
  const [path, query] = splitTarget(request.url ?? '/');
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const allowed: string[] = [];
  for (const route of routes) {
    const parameters = matchPath(route.path, path);
    if (parameters === undefined) continue;
    if (route.method === method) return { route, parameters, query: new URLSearchParams(query) };
    allowed.push(route.method);
  }
  if (allowed.length === 0) return undefined;
  throw new HttpError(405, `Use ${allowed.join(' or ')} here.`, { headers: { Allow: allowed.join(', ') } });
}

/** Path and query of a request line. */
export function splitTarget(target: string): readonly [path: string, query: string] {
  const mark = target.indexOf('?');
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
}

function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? '';
    if (part.startsWith(':')) parameters[part.slice(1)] = decode(value);
    else if (part !== value) return undefined;
  }
  return parameters;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new HttpError(400, 'The path is not valid percent encoding.', { cause });
  }
}
