import type { Node } from './nodes.js';
import { isRecord } from './nodes.js';
import { typesOf } from './shape.js';

/** Most alternatives that are compared with each other. */
const mostCompared = 128;

/**
 * Whether no value can be two of these: by their types, by their values, or by a property that all have and whose
 * values differ.
 */
export function areApart(branches: readonly (readonly Node[])[]): boolean {
  if (branches.length > mostCompared) return false;
  return branches.every((one, index) => branches.slice(index + 1).every((other) => isApart(one, other)));
}

function isApart(one: readonly Node[], other: readonly Node[]): boolean {
  const [types, otherTypes] = [explicitTypes(one), explicitTypes(other)];
  if (types !== undefined && otherTypes !== undefined && !overlap(types, otherTypes)) return true;
  const [values, otherValues] = [fixedValues(one), fixedValues(other)];
  if (values !== undefined && otherValues !== undefined) return !overlap(values, otherValues);
  if (types?.size !== 1 || !types.has('object') || otherTypes?.size !== 1 || !otherTypes.has('object'))
    return false;
  const [fields, otherFields] = [fixedFields(one), fixedFields(other)];
  return [...fields].some(([name, set]) => {
    const otherSet = otherFields.get(name);
    return otherSet !== undefined && !overlap(set, otherSet);
  });
}

function explicitTypes(nodes: readonly Node[]): ReadonlySet<string> | undefined {
  if (!nodes.some(({ schema }) => schema['type'] !== undefined)) return undefined;
  const types: ReadonlySet<string> = typesOf(nodes) ?? new Set<string>();
  return types.has('number') ? new Set([...types, 'integer']) : types;
}

function fixedValues(nodes: readonly Node[]): ReadonlySet<string> | undefined {
  for (const { schema } of nodes) {
    const values = valuesIn(schema);
    if (values !== undefined) return values;
  }
  return undefined;
}

/** Required properties that can have certain values only. */
function fixedFields(nodes: readonly Node[]): ReadonlyMap<string, ReadonlySet<string>> {
  const required = nodes.flatMap(({ schema }): readonly unknown[] =>
    Array.isArray(schema['required']) ? schema['required'] : [],
  );
  const fields = new Map<string, ReadonlySet<string>>();
  for (const { schema } of nodes) {
    const { properties } = schema;
    for (const [name, field] of isRecord(properties) ? Object.entries(properties) : []) {
      const values = isRecord(field) ? valuesIn(field) : undefined;
      if (values !== undefined && required.includes(name)) fields.set(name, values);
    }
  }
  return fields;
}

function valuesIn(schema: Readonly<Record<string, unknown>>): ReadonlySet<string> | undefined {
  if (schema['const'] !== undefined) return new Set([JSON.stringify(schema['const'])]);
  if (!Array.isArray(schema['enum'])) return undefined;
  return new Set(schema['enum'].map((value: unknown) => JSON.stringify(value)));
}

function overlap(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return [...one].some((value) => other.has(value));
}
