import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { channelFrameSchema, channelRequestSchema, errorFrameSchema } from '@hearth/protocol';
import { describe, expect, test } from 'vitest';
import { configured, hearthScope, type HearthProcess } from '../support/daemon.js';
import { isObject, type RawClient, toFrame } from '../support/raw-client.js';

/**
 * Plays the transcripts of PROTOCOL.md against a daemon, each against a fresh one: what the document shows is what
 * happens.
 */

const document = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../protocol/PROTOCOL.md');
const transcripts = [...fs.readFileSync(document, 'utf8').matchAll(/^```transcript\n([\s\S]*?)^```$/gmu)].map(
  (match) => (match[1] ?? '').trimEnd().split('\n'),
);
const step = /^([A-Z]) ([→←]) (\{.*\})$/u;

describe('the transcripts of PROTOCOL.md', () => {
  const hearth = hearthScope('test');

  test.each(transcripts.map((lines, index) => ({ lines, name: `${index + 1}: ${lines[0] ?? ''}` })))(
    '$name',
    async ({ lines }) => {
      const home = hearth.makeHome();
      const stateDir = path.join(home.root, 'state');
      fs.mkdirSync(stateDir);
      const args = configured(home, { state_dir: stateDir, durable_channels: ['acme/journal'] });
      const daemon = await hearth.serve({ home, args });
      const clients = new Map<string, RawClient>();
      for (const line of lines) await play(line, daemon, clients);
      for (const client of clients.values()) client.destroy();
    },
  );

  test('show every request and every frame about channels', () => {
    const shown = (arrow: string): ReadonlySet<unknown> =>
      new Set(
        transcripts.flat().flatMap((line) => {
          const match = step.exec(line);
          return match?.[2] === arrow ? [toFrame(match[3] ?? '')['type']] : [];
        }),
      );
    for (const option of channelRequestSchema.options) expect(shown('→')).toContain(option.shape.type.value);
    for (const option of channelFrameSchema.options) expect(shown('←')).toContain(option.shape.type.value);
  });
});

async function play(line: string, daemon: HearthProcess, clients: Map<string, RawClient>): Promise<void> {
  if (line === 'the daemon is told to end') {
    daemon.signal('SIGTERM');
    return;
  }
  const [, name = '', arrow, json = ''] = step.exec(line) ?? [];
  expect(name, `a step of the form "A → {…}", not: ${line}`).not.toBe('');
  const client = clients.get(name) ?? (await daemon.connect());
  clients.set(name, client);
  if (arrow === '→') {
    expect(channelRequestSchema.safeParse(JSON.parse(json)).error?.message, line).toBeUndefined();
    await client.send(`${json}\n`);
    return;
  }
  const frame = await client.frame();
  expect(frame, line).toEqual(expected(toFrame(json)));
  const schema = frame['type'] === 'error' ? errorFrameSchema : channelFrameSchema;
  expect(schema.safeParse(frame).error?.message, line).toBeUndefined();
}

/** `…` stands for anything that is there. */
function expected(frame: unknown): unknown {
  if (frame === '…') return expect.anything();
  if (!isObject(frame)) return frame;
  return Object.fromEntries(Object.entries(frame).map(([key, value]) => [key, expected(value)]));
}
