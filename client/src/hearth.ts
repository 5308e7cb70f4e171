import { commands, EventEmitter, window, type ExtensionContext } from 'vscode';
import { offerTools } from './agents/agent-tools.js';
import { defineMcpServer } from './agents/mcp-definition.js';
import type { HearthExtensionApi } from './api.js';
import { codeCommands } from './code-commands/code-commands.js';
import { offerInLightbulb } from './code-commands/lightbulb.js';
import { registerCommands } from './commands/commands.js';
import { commitCommands } from './commit-message/commit-message.js';
import { createGhostText, type GhostText } from './ghost-text/ghost-text.js';
import { inlineEdits } from './inline-edit/inline-edit.js';
import { provideLanguageModel } from './language-model/provider.js';
import { useInChat } from './language-model/use-in-chat.js';
import { modelCommands } from './models/model-commands.js';
import { addParticipant } from './participant/participant.js';
import { restartOnChange, sidecarArguments } from './settings.js';
import { lazySession } from './sidecar/lazy-session.js';
import { createSidecar } from './sidecar/sidecar.js';
import type { SidecarState } from './sidecar/state.js';
import { tellFailures } from './status/failure-message.js';
import { showStatusBar } from './status/status-bar.js';
import { explainTerminalSelection } from './terminal/explain-terminal.js';
import { showViews } from './views/views.js';

/** A running extension: its interface, and the way to end it. */
export interface Hearth {
  readonly api: Omit<HearthExtensionApi, 'activation'>;
  readonly log: (message: string) => void;
  /** Leaves the sidecar, which ends by itself once nobody uses it. */
  readonly stop: () => Promise<void>;
}

/** Puts the extension's parts together and starts the sidecar. */
export function createHearth(context: ExtensionContext): Hearth {
  const log = window.createOutputChannel('Hearth', { log: true });
  const script = context.asAbsolutePath('dist/hearth.cjs');
  const sidecar = createSidecar((listener) =>
    lazySession(async () => {
      const { startSession } = await import('./sidecar/session.js');
      return startSession(
        { script, arguments: sidecarArguments() },
        log,
        ghostText.middleware(),
        listener,
        ghostText.told,
        (model) => void commands.executeCommand('hearth.addModel', model),
      );
    }),
  );
  const ghostText: GhostText = createGhostText(sidecar);
  const changed = new EventEmitter<SidecarState>();
  let logged: SidecarState['kind'] | undefined;
  sidecar.events.on('state', (state) => {
    if (state.kind !== logged) log.info(describeState(state));
    logged = state.kind;
    changed.fire(state);
  });
  const views = showViews(sidecar, ghostText);
  const edits = inlineEdits(sidecar, context);
  const inChat = useInChat(sidecar, context, log);
  context.subscriptions.push(
    log,
    changed,
    views.disposable,
    showStatusBar(sidecar, ghostText),
    ghostText.disposable,
    tellFailures(sidecar, () => log.show(true)),
    edits,
    inChat,
    registerCommands(sidecar, log, {
      ...edits.commands,
      ...modelCommands(sidecar),
      ...inChat.commands,
      ...codeCommands(sidecar),
      ...commitCommands(sidecar),
      'hearth.explainTerminalSelection': () => explainTerminalSelection(sidecar),
    }),
    offerInLightbulb(sidecar),
    offerTools(sidecar),
    defineMcpServer(context),
    provideLanguageModel(sidecar, log),
    addParticipant(sidecar),
    restartOnChange(sidecar),
  );
  sidecar.start();
  return {
    api: {
      state: sidecar.state,
      onDidChangeState: changed.event,
      whenReady: sidecar.whenReady,
      health: sidecar.health,
      streams: sidecar.streams,
      rows: views.rows,
      ghostText: ghostText.outcomes.all,
    },
    log: (message) => log.info(message),
    stop: sidecar.stop,
  };
}

function describeState(state: SidecarState): string {
  const reason = state.kind === 'failed' || state.kind === 'restarting' ? `: ${state.reason}` : '.';
  return `The sidecar is ${state.kind}${reason}`;
}
