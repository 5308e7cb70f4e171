import { format, resolveConfig } from 'prettier';
import * as z from 'zod';
import { activityEventSchema, activityRecordSchema } from '../src/activity.js';
import { authFrameSchema } from '../src/auth.js';
import { askKinds, asks, channelBodies, channelFrameSchema, channelRequestSchema } from '../src/channels.js';
import { engineEventSchema } from '../src/engine-events.js';
import { errorCatalogue, errorCodes } from '../src/errors.js';
import { adminFrameSchema, capabilitiesSchema, loadPhaseSchema, responseFrameSchema } from '../src/frames.js';
import { isJsonObject } from '../src/json.js';
import type { JsonObject } from '../src/json.js';
import { limits } from '../src/limits.js';
import * as messages from '../src/messages.js';
import * as ghostTextMessages from '../src/messages-ghost-text.js';
import * as modelMessages from '../src/messages-models.js';
import { generateRequestSchema } from '../src/request.js';
import { additionNote } from '../src/sampling.js';
import { typedReplyFrameSchema } from '../src/typed-replies.js';
import { typedRequestSchema } from '../src/typed-requests.js';

/**
 * What is written from the sources: the JSON Schemas, and the tables in PROTOCOL.md. `node
 * protocol/reference/generate.mjs` writes them, and a test fails where they differ from what is there.
 */

const schemas = {
  request: generateRequestSchema,
  'typed-request': typedRequestSchema,
  'response-frame': responseFrameSchema,
  'typed-reply-frame': typedReplyFrameSchema,
  'admin-frame': adminFrameSchema,
  'auth-frame': authFrameSchema,
  'channel-request': channelRequestSchema,
  'channel-frame': channelFrameSchema,
  'activity-record': activityRecordSchema,
  'engine-event': engineEventSchema,
} as const;

const titles: Record<keyof typeof schemas, string> = {
  request: 'A request on the inference socket',
  'typed-request': 'A request on the inference socket that asks for something other than a generation',
  'response-frame': 'A frame that the inference socket answers',
  'typed-reply-frame': 'A frame that answers a generation with `wire_version`',
  'admin-frame': 'A frame of the admin socket',
  'channel-request': 'A request about channels on the inference socket',
  'channel-frame': 'A frame about channels on the inference socket',
  'auth-frame': 'The first frame of a TCP connection to a daemon with a key',
  'activity-record': 'A line of the activity log',
  'engine-event': 'What became of an engine or a request',
};

/** The files in `protocol/schema/`, by name, with their contents. */
export async function schemaFiles(directory: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const [name, schema] of Object.entries(schemas)) {
    const title = titles[name as keyof typeof schemas];
    const { $schema, ...rest } = jsonSchema(schema);
    const text = JSON.stringify({ $schema, title, ...rest });
    const options = await resolveConfig(`${directory}/${name}.json`);
    files.set(`${name}.json`, await format(text, { ...options, parser: 'json' }));
  }
  return files;
}

/** As a sender writes it: what has a default may be left out, and unknown keys may be there. */
function jsonSchema(schema: z.ZodType): JsonObject {
  return z.toJSONSchema(schema, { io: 'input' });
}

/** `document` with every generated part written anew. @throws Error for a part that nobody generates. */
export function withGeneratedParts(document: string): string {
  return document.replace(
    /(<!-- generated: ([a-z-]+) -->\n)[\s\S]*?(<!-- end of generated -->)/g,
    (_match, start: string, name: string, end: string) => {
      const part = parts[name];
      if (part === undefined) throw new Error(`PROTOCOL.md asks for a part that nobody generates: ${name}`);
      return `${start}${part()}\n${end}`;
    },
  );
}

/** The names of the parts that PROTOCOL.md must hold. */
export const partNames = (): readonly string[] => Object.keys(parts);

const parts: Record<string, () => string> = {
  'request-fields': () =>
    fieldTable(properties(jsonSchema(generateRequestSchema)), (field) => field['$comment'] !== additionNote),
  'request-additions': () =>
    fieldTable(properties(jsonSchema(generateRequestSchema)), (field) => field['$comment'] === additionNote),
  'typed-requests': () => variantTable(jsonSchema(typedRequestSchema), 'type'),
  'response-frames': () => variantTable(jsonSchema(responseFrameSchema), 'type'),
  'typed-reply-frames': () => variantTable(jsonSchema(typedReplyFrameSchema), 'type'),
  'engine-events': () => variantTable(jsonSchema(engineEventSchema), 'kind'),
  'channel-requests': () => variantTable(jsonSchema(channelRequestSchema), 'type'),
  'channel-frames': () => variantTable(jsonSchema(channelFrameSchema), 'type'),
  'channel-bodies': () =>
    table(
      ['channel', 'body of an event'],
      Object.entries(channelBodies).map(([name, schema]) => [
        code(name),
        linkedBodies[name] ?? list(jsonSchema(schema)),
      ]),
    ),
  'channel-asks': () =>
    table(
      ['kind', 'question', 'answer'],
      askKinds.map((kind) => [
        code(kind),
        list(jsonSchema(asks[kind].question)),
        list(jsonSchema(asks[kind].answer)),
      ]),
    ),
  'error-codes': errorTable,
  'load-phases': () => variantTable(jsonSchema(loadPhaseSchema), 'phase'),
  capabilities: () => list(jsonSchema(capabilitiesSchema)),
  'activity-events': () => variantTable(jsonSchema(activityEventSchema), 'msg'),
  limits: () =>
    table(
      ['limit', 'value'],
      Object.entries(limits).map(([name, value]) => [code(name), String(value)]),
    ),
  messages: messageTable,
};

/** Bodies that have a section of their own. */
const linkedBodies: Readonly<Record<string, string>> = {
  activity: 'a line of [the activity log](#the-activity-log)',
  engine: '[an engine event](#engine-events)',
};

function fieldTable(fields: JsonObject, wanted: (field: JsonObject) => boolean): string {
  const rows = Object.entries(fields).flatMap(([name, field]) => {
    if (!isJsonObject(field) || !wanted(field)) return [];
    const fallback = 'default' in field ? code(JSON.stringify(field['default'])) : '';
    const description = typeof field['description'] === 'string' ? field['description'] : '';
    return [[code(name), describeType(field), fallback, description]];
  });
  return table(['field', 'type', 'default', 'meaning'], rows);
}

function variantTable(schema: JsonObject, key: string): string {
  const variants = [schema['oneOf'] ?? schema['anyOf']].flat().filter(isJsonObject);
  const rows = variants.map((variant) => {
    const tag = properties(variant)[key];
    return [code(isJsonObject(tag) ? String(tag['const']) : '?'), list(variant, key) || '–'];
  });
  return table([key, 'fields'], rows);
}

function list(schema: JsonObject, without?: string): string {
  const required = [schema['required']].flat();
  return Object.entries(properties(schema))
    .filter(([name]) => name !== without)
    .map(([name, field]) => {
      const type = isJsonObject(field) ? describeType(field) : '';
      return `${code(required.includes(name) ? name : `${name}?`)} ${type}`;
    })
    .join(', ');
}

/** The type of a field in a few words: what a reader needs before turning to the schema. */
function describeType(field: JsonObject): string {
  if (Array.isArray(field['enum']))
    return field['enum'].map((item) => code(JSON.stringify(item))).join(' \\| ');
  if ('const' in field) return code(JSON.stringify(field['const']));
  if (Array.isArray(field['anyOf']))
    return field['anyOf'].filter(isJsonObject).map(describeType).join(' \\| ');
  if (field['type'] === 'array') {
    const items = isJsonObject(field['items']) ? describeType(field['items']) : 'values';
    return `array${range(field['minItems'], field['maxItems'], ' items')}, of ${items}`;
  }
  if (!('type' in field)) return 'any JSON';
  if (field['type'] === 'object') return `{ ${list(field)} }`;
  if (field['type'] === 'string')
    return `string${range(field['minLength'], field['maxLength'], ' characters')}`;
  if (field['type'] === 'integer' && field['maximum'] === largestU32) {
    return field['minimum'] === 0 ? 'u32' : `u32${range(field['minimum'], undefined, '')}`;
  }
  return `${[field['type']].flat().join(' \\| ')}${range(field['minimum'], field['maximum'], '')}`;
}

const largestU32 = 4_294_967_295;

function range(from: unknown, to: unknown, unit: string): string {
  const lower = typeof from === 'number' ? from : undefined;
  const upper = typeof to === 'number' && to !== Number.MAX_SAFE_INTEGER ? to : undefined;
  if (lower === undefined && upper === undefined) return '';
  if (lower === undefined) return `, at most ${upper}${unit}`;
  if (upper === undefined) return `, at least ${lower}${unit}`;
  return `, ${lower} to ${upper}${unit}`;
}

function properties(schema: JsonObject): JsonObject {
  const found = schema['properties'];
  return isJsonObject(found) ? found : {};
}

function errorTable(): string {
  const rows = errorCodes.map((name) => {
    const { retryable, v1 } = errorCatalogue[name];
    return [code(name), retryable ? 'yes' : 'no', code(v1)];
  });
  return table(['code', 'a retry may help', 'on NDJSON v1'], rows);
}

/** Every message of messages*.ts has its method in `method`. */
function messageTable(): string {
  const all: Record<string, unknown> = { ...messages, ...ghostTextMessages, ...modelMessages };
  const rows = Object.values(all).flatMap((message) => {
    if (!isJsonObject(message) || typeof message['method'] !== 'string') return [];
    const type = message['type'];
    const kind =
      typeof type === 'object' && type !== null ? type.constructor.name.replace(/Type0?$/, '') : '';
    return [[code(message['method']), kind.toLowerCase()]];
  });
  // Sorted, because a bundler and a module loader name the exports in different orders.
  rows.sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  return table(['method', 'kind'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}
