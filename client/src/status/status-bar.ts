import { Disposable, MarkdownString, StatusBarAlignment, ThemeColor, window } from 'vscode';
import type { GhostText } from '../ghost-text/ghost-text.js';
import { outcomeTooltip } from '../ghost-text/outcome-tooltip.js';
import { throttled } from '../throttled.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { statusText, statusTooltip } from './status-text.js';

const background = {
  none: undefined,
  warning: new ThemeColor('statusBarItem.warningBackground'),
  error: new ThemeColor('statusBarItem.errorBackground'),
} as const;

/** Shows the state in the status bar; a click opens the quick actions. */
export function showStatusBar(sidecar: Sidecar, ghostText: GhostText): Disposable {
  const item = window.createStatusBarItem('hearth.status', StatusBarAlignment.Right, 100);
  item.name = 'Hearth';
  item.command = 'hearth.quickActions';

  const update = (): void => {
    const { text, spoken, severity } = statusText(sidecar.state());
    item.text = ghostText.off() === undefined ? text : `${text} $(debug-pause)`;
    item.backgroundColor = background[severity];
    item.accessibilityInformation = { label: spoken, role: 'button' };
    const tooltip = new MarkdownString(
      statusTooltip(
        sidecar.state(),
        sidecar.health(),
        outcomeTooltip(ghostText.outcomes.latest(), ghostText.off()),
      ),
      true,
    );
    tooltip.isTrusted = {
      enabledCommands: [
        'hearth.ask',
        'hearth.showLog',
        'hearth.restartSidecar',
        'hearth.whyNoSuggestion',
        'hearth.snoozeGhostText',
        'hearth.resumeGhostText',
        'hearth.chooseModel',
        'hearth.useBestModel',
      ],
    };
    item.tooltip = tooltip;
  };
  sidecar.events.on('state', update);
  sidecar.events.on('health', update);
  // There is one at each keystroke.
  const updateSoon = throttled(250, update);
  ghostText.outcomes.events.on('changed', updateSoon.call);
  update();
  item.show();
  return new Disposable(() => {
    sidecar.events.off('state', update);
    sidecar.events.off('health', update);
    ghostText.outcomes.events.off('changed', updateSoon.call);
    updateSoon.dispose();
    item.dispose();
  });
}
