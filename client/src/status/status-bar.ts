import { Disposable, MarkdownString, StatusBarAlignment, ThemeColor, window } from 'vscode';
import type { Sidecar } from '../sidecar/sidecar.js';
import { statusText, statusTooltip } from './status-text.js';

const background = {
  none: undefined,
  warning: new ThemeColor('statusBarItem.warningBackground'),
  error: new ThemeColor('statusBarItem.errorBackground'),
} as const;

/** Shows the state in the status bar; a click opens the quick actions. */
export function showStatusBar(sidecar: Sidecar): Disposable {
  const item = window.createStatusBarItem('hearth.status', StatusBarAlignment.Right, 100);
  item.name = 'Hearth';
  item.command = 'hearth.quickActions';

  const update = (): void => {
    const { text, spoken, severity } = statusText(sidecar.state());
    item.text = text;
    item.backgroundColor = background[severity];
    item.accessibilityInformation = { label: spoken, role: 'button' };
    const tooltip = new MarkdownString(statusTooltip(sidecar.state(), sidecar.health()), true);
    tooltip.isTrusted = {
      enabledCommands: [
        'hearth.ask',
        'hearth.showLog',
        'hearth.restartSidecar',
        'workbench.action.openSettings',
      ],
    };
    item.tooltip = tooltip;
  };
  sidecar.events.on('state', update);
  sidecar.events.on('health', update);
  update();
  item.show();
  return new Disposable(() => {
    sidecar.events.off('state', update);
    sidecar.events.off('health', update);
    item.dispose();
  });
}
