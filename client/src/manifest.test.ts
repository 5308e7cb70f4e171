import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { agentTools } from '@hearth/protocol';
import * as z from 'zod';
import { toolNames } from './agents/tool-names.js';

const sources = fileURLToPath(new URL('.', import.meta.url));
const manifest = z
  .object({
    contributes: z.object({
      commands: z.array(z.object({ command: z.string() })),
      configuration: z.object({ properties: z.record(z.string(), z.object({ scope: z.string() })) }),
      menus: z.record(
        z.string(),
        z.array(
          z.union([
            z.object({ command: z.string(), when: z.string().optional() }),
            z.object({ submenu: z.string() }),
          ]),
        ),
      ),
      languageModelTools: z.array(
        z.object({
          name: z.string(),
          displayName: z.string(),
          modelDescription: z.string(),
          inputSchema: z.unknown(),
        }),
      ),
      submenus: z.array(z.object({ id: z.string() })),
      views: z.object({ hearth: z.array(z.object({ id: z.string() })) }),
    }),
    capabilities: z.object({
      untrustedWorkspaces: z.object({ restrictedConfigurations: z.array(z.string()) }),
    }),
  })
  .parse(JSON.parse(readFileSync(join(sources, '../../package.json'), 'utf8')));

/** All sources of the extension, tests left out. */
const code = readdirSync(sources, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .map((name) => readFileSync(join(sources, name), 'utf8'))
  .join('\n');

const quoted = (pattern: RegExp): readonly string[] =>
  [...code.matchAll(pattern)].map(([, name]) => name ?? '').sort();

describe('the manifest and the code', () => {
  const contributed = manifest.contributes.commands.map(({ command }) => command).sort();

  it('name the same commands', () => {
    const registered = quoted(/(?:registerCommand\(|^ {4,6}(?='[\w.]+':))'(hearth\.\w+)'[:,]/gm);
    expect(registered).toEqual(contributed);
  });

  it('name the same views', () => {
    const views = manifest.contributes.views.hearth.map(({ id }) => id).sort();
    expect(quoted(/createTreeView\(\s*'(hearth\.\w+)'/g)).toEqual(views);
  });

  it('put only commands into menus that exist', () => {
    const submenus = manifest.contributes.submenus.map(({ id }) => id);
    for (const item of Object.values(manifest.contributes.menus).flat()) {
      if ('command' in item) expect(contributed).toContain(item.command);
      else expect(submenus).toContain(item.submenu);
    }
    for (const submenu of submenus) expect(manifest.contributes.menus[submenu]).toBeDefined();
  });

  it('let no workspace choose what is run on this machine', () => {
    const machine = Object.entries(manifest.contributes.configuration.properties)
      .filter(([, { scope }]) => scope === 'machine')
      .map(([name]) => name);
    expect(machine).toEqual(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations);
  });

  it('offer the tools of the protocol, with what they take', () => {
    const tools = agentTools.map(({ name, title, description, input }) => {
      const { $schema: _, ...inputSchema } = z.toJSONSchema(input);
      return { name, displayName: title, modelDescription: description, inputSchema };
    });
    expect(manifest.contributes.languageModelTools).toEqual(tools);
    expect(toolNames).toEqual(tools.map(({ name }) => name));
  });
});
