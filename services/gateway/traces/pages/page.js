// Which page this is, and its keys.
const pages = { top: document.getElementById('top'), main: document.getElementById('main') };

function start() {
  takeKey();
  window.addEventListener('hashchange', () => takeKey() && location.reload());
  const trace = /^\/traces\/([0-9a-f]{32})$/.exec(location.pathname);
  const keys = trace ? tracePage(pages.top, pages.main, trace[1]) : listPage(pages.top, pages.main);
  document.body.append(help(keys));
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.getElementById('help').open) return event.key === '?' && toggleHelp();
    const isTyping = event.target.closest?.('input, select, textarea');
    if (isTyping) {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    if (event.key === '?') return toggleHelp();
    const found = keys[event.key];
    const isPress = event.key === 'Enter' || event.key === ' ';
    if (!found || (isPress && event.target.closest('a, button'))) return;
    event.preventDefault();
    found[0]();
  });
}

function toggleHelp() {
  const dialog = document.getElementById('help');
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

function help(keys) {
  const lines = Object.entries(keys)
    .filter(([, [, text]]) => text)
    .flatMap(([key, [, text]]) => [el('dt', {}, el('kbd', { text: key })), el('dd', { text })]);
  const dialog = el(
    'dialog',
    { id: 'help', 'aria-label': 'Keys' },
    el('h2', { text: 'Keys' }),
    el('dl', {}, ...lines, el('dt', {}, el('kbd', { text: '?' })), el('dd', { text: 'this' })),
    el('button', { type: 'button', text: 'Close', on: { click: () => dialog.close() } }),
  );
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  return dialog;
}

start();
