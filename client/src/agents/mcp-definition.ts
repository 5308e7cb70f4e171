import {
  EventEmitter,
  Disposable,
  lm,
  McpStdioServerDefinition,
  workspace,
  type ExtensionContext,
} from 'vscode';

/** The setting that says whether agents in VS Code are offered the MCP server too. */
const setting = 'mcp.enabled';

/**
 * Tells VS Code of `hearth mcp`, where the setting asks for it. Off by default: agents in VS Code have the same tools by
 * `lm.registerTool` already, and each of them twice would only lengthen their prompts.
 */
export function defineMcpServer(context: ExtensionContext): Disposable {
  const changed = new EventEmitter<void>();
  return Disposable.from(
    changed,
    workspace.onDidChangeConfiguration((event) => {
      if (
        event.affectsConfiguration(`hearth.${setting}`) ||
        event.affectsConfiguration('hearth.runtimeDirectory')
      )
        changed.fire();
    }),
    lm.registerMcpServerDefinitionProvider('hearth', {
      onDidChangeMcpServerDefinitions: changed.event,
      provideMcpServerDefinitions: () => {
        const settings = workspace.getConfiguration('hearth');
        if (!settings.get<boolean>(setting, false)) return [];
        const directory = settings.get('runtimeDirectory', '').trim();
        const flags = directory === '' ? [] : ['--runtime-dir', directory];
        const script = context.asAbsolutePath('dist/hearth.cjs');
        return [
          new McpStdioServerDefinition(
            'Hearth',
            process.execPath,
            [script, 'mcp', ...flags],
            { ELECTRON_RUN_AS_NODE: '1' },
            versionOf(context),
          ),
        ];
      },
    }),
  );
}

function versionOf({ extension }: ExtensionContext): string {
  const manifest: unknown = extension.packageJSON;
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest && manifest.version;
  return typeof version === 'string' ? version : '0';
}
