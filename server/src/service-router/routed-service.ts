import type { ListedService } from '../registry/registry-client.js';
import { type Circuit, closedCircuit, type CircuitPolicy, describeCircuit } from './circuit.js';

/** A service as the router knows it. What changes with time is changed in place, by {@link ServiceTable} and the router. */
export interface RoutedService {
  readonly name: string;
  host: string;
  port: number;
  url: string;
  weight: number;
  /** The smallest goes first; others serve only while none of the smallest can. */
  priority: number;
  models: ReadonlySet<string>;
  metadata: Readonly<Record<string, unknown>>;
  /** From a file: never removed. */
  readonly isStatic: boolean;
  /** By probes: false until the first that succeeds. */
  healthy: boolean;
  /** Probes that failed since the last that succeeded. */
  failedProbes: number;
  circuit: Circuit;
  requestCount: number;
  errorCount: number;
  /** Running now. */
  outstanding: number;
  /** Smoothed, in seconds to the head of an answer. */
  responseTime: number;
  /** Monotonic: when it was first missing from the registry's list; undefined: it is there. */
  missingSince: number | undefined;
}

/** A service from a list, not yet probed. */
export function newService(listed: ListedService, isStatic: boolean): RoutedService {
  return {
    name: listed.name,
    isStatic,
    healthy: false,
    failedProbes: 0,
    circuit: closedCircuit,
    requestCount: 0,
    errorCount: 0,
    outstanding: 0,
    responseTime: 0,
    missingSince: undefined,
    ...placeOf(listed),
  };
}

/** What a list says of a service, in the router's words. */
export function placeOf({ host, port, url, weight, metadata }: ListedService) {
  return {
    host,
    port,
    url,
    metadata,
    weight: weight ?? wholeNumber(metadata['weight'], 1000) ?? 1,
    priority: wholeNumber(metadata['priority'], 1_000_000) ?? 0,
    models: new Set(modelsOf(metadata)),
  };
}

/** `static` and `paged` are the pools of size-based routing. */
export function cacheTypeOf({ metadata }: RoutedService): string | undefined {
  const type = metadata['cache_type'];
  return typeof type === 'string' ? type : undefined;
}

/** The shape of InfiniLM-SVC's router, and what ours knows beside it. */
export function describeService(service: RoutedService, now: number, policy: CircuitPolicy) {
  const { name, host, port, url, healthy, weight, metadata } = service;
  return {
    name,
    host,
    port,
    url,
    babysitter_url: `http://${host}:${port + 1}`,
    healthy,
    request_count: service.requestCount,
    error_count: service.errorCount,
    response_time: service.responseTime,
    weight,
    models: [...service.models],
    metadata,
    priority: service.priority,
    outstanding: service.outstanding,
    circuit: describeCircuit(service.circuit, now, policy),
  };
}

const mostModels = 1024;

function modelsOf({ models }: Readonly<Record<string, unknown>>): readonly string[] {
  if (!Array.isArray(models)) return [];
  return models.filter((model): model is string => typeof model === 'string').slice(0, mostModels);
}

function wholeNumber(value: unknown, most: number): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most
    ? value
    : undefined;
}
