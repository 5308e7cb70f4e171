import {
  describeIssues,
  type GenerateRequest,
  type JsonObject,
  parseGenerateRequest,
} from '@hearth/protocol';
import type { z } from 'zod';
import { invalidRequest, unsupported } from './api-error.js';

/**
 * Reads the fields of a body by a strict schema. A field that is null counts as absent, as in each of these APIs; one
 * that the schema does not know is refused by name.
 *
 * @throws ApiError that names the first field that is wrong, and quotes nothing.
 */
export function readFields<Schema extends z.ZodType>(schema: Schema, body: JsonObject): z.output<Schema> {
  const present = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  const result = schema.safeParse(present);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue?.path.map(String) ?? [];
  if (issue?.code === 'unrecognized_keys') {
    throw unsupported([...place, ...issue.keys.slice(0, 1)].join('.'));
  }
  throw invalidRequest(describeIssues(result.error), place.length === 0 ? undefined : place.join('.'));
}

/**
 * A request in the protocol's own words, checked as one that came over its sockets. Fields that are undefined are left
 * out.
 *
 * @throws HearthError `invalid_request`
 */
export function toGenerateRequest(fields: Readonly<Record<string, unknown>>): GenerateRequest {
  const present: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) present[name] = value;
  return parseGenerateRequest(present);
}

/** The name of a model as a client gave it; undefined: the default one, which `default` names too. */
export function modelName(name: string | undefined): string | undefined {
  return name === undefined || name === '' || name === 'default' ? undefined : name;
}
