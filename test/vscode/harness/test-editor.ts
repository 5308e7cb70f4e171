import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type CodeServer, provideCodeServer } from '../../../client/dev/code-server.mjs';
import { developmentUrl, type EditorServer, startEditorServer } from '../../../client/dev/editor-server.mjs';

export interface TestEditorOptions {
  /** Relative path → content of the workspace's files. */
  readonly files?: Readonly<Record<string, string>>;
  /** User settings over the quiet ones. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** More environment for the extension and its sidecar. */
  readonly env?: Readonly<Record<string, string>>;
  /** True for a suite inside the extension host: see `EditorOptions.automation`. Hearth is then not installed. */
  readonly automation?: boolean;
  /**
   * Loads the chat extension that VS Code brings along, with nobody signed in. The editor then runs as for its own
   * automated tests: it shows no notification.
   */
  readonly bundledChat?: boolean;
}

export interface TestEditor {
  readonly server: EditorServer;
  /** Opens the workspace, with what was asked for. */
  readonly url: string;
  /** Everything of this editor lies here; gone after `stop`. */
  readonly directory: string;
  readonly workspace: string;
  /** The sidecar's, with `hearth.sock`, `admin.sock` and `rpc.sock`. */
  readonly runtimeDirectory: string;
  /** Where the user's settings and the groups of chat models lie. */
  readonly userDirectory: string;
  /** The sidecar's activity log is in here. */
  readonly logDirectory: string;
  /** Ends the editor and everything that it started, and removes its directory. */
  readonly stop: () => Promise<void>;
}

/** Nothing slides about while a test presses it. */
const stillSettings = { 'workbench.reduceMotion': 'on' };

/** An editor with a home, a workspace and a sidecar of its own. */
export async function startTestEditor(options: TestEditorOptions = {}): Promise<TestEditor> {
  const { files = {}, settings = {}, env = {}, automation = false, bundledChat = false } = options;
  // Short, because the path of a socket may have no more than about a hundred bytes.
  const directory = mkdtempSync(path.join(os.tmpdir(), 'hvs-'));
  const workspace = path.join(directory, 'workspace');
  const runtimeDirectory = path.join(directory, 'run');
  const logDirectory = path.join(directory, 'log');
  mkdirSync(workspace);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(workspace, name)), { recursive: true });
    writeFileSync(path.join(workspace, name), content);
  }
  const remove = (): void => {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    const codeServer = await provideCodeServer();
    const server = await startEditorServer({
      codeServer,
      directory: path.join(directory, 'editor'),
      home: path.join(directory, 'home'),
      workspace,
      install: !automation,
      automation: automation || bundledChat,
      settings: { ...stillSettings, ...settings },
      env: { HEARTH_RUNTIME_DIR: runtimeDirectory, HEARTH_LOG_DIR: logDirectory, ...env },
    });
    const stop = async (): Promise<void> => {
      await server.stop();
      remove();
    };
    const url = bundledChat ? developmentUrl(server, bundledChatExtension(codeServer)) : server.url;
    const userDirectory = path.join(directory, 'editor/user/User');
    return { server, url, directory, workspace, runtimeDirectory, userDirectory, logDirectory, stop };
  } catch (error) {
    remove();
    throw error;
  }
}

function bundledChatExtension({ entry }: CodeServer): string {
  return path.join(path.dirname(entry), '../../lib/vscode/extensions/copilot');
}
