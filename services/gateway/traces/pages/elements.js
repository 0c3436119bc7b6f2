// Elements, words for numbers, and the gateway, asked in the operator's name. Text that came from anywhere only ever becomes text.
const KEY = 'chasqui.admin_key';
const LIST = 'chasqui.traces';
const TRACE_ID = /(?:^|[^0-9a-f])([0-9a-f]{32})(?![0-9a-f])/;
const HUES = { gateway: 212, scheduler: 268, sender: 158, archive: 36, sandbox: 322 };

// `given` holds attributes, and: text, on {event: function}, data {name: value}, aria {name: value}, vars {custom property: value}.
function el(name, given = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === 'text') node.textContent = value;
    else if (key === 'on') for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (key === 'data') Object.assign(node.dataset, value);
    else if (key === 'aria') for (const [word, said] of Object.entries(value)) node.setAttribute(`aria-${word}`, said);
    else if (key === 'vars') for (const [word, size] of Object.entries(value)) node.style.setProperty(`--${word}`, size);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function hue(service) {
  if (Object.hasOwn(HUES, service)) return HUES[service];
  let sum = 0;
  for (const letter of service) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

function chip(service, more) {
  return el('span', {
    class: 'service',
    text: more === undefined ? service : `${service} ${more}`,
    vars: { hue: hue(service) },
  });
}

function duration(ms) {
  if (ms < 0.001) return '0';
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 100) return `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function clock(iso) {
  const at = new Date(iso);
  const two = (number, width = 2) => String(number).padStart(width, '0');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? time : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

function count(number, word) {
  return `${number.toLocaleString('en')} ${word}${number === 1 ? '' : 's'}`;
}

function copyable(text, shown = text) {
  const copy = async (event) => {
    event.stopPropagation();
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(text);
      say(`Copied ${text}`);
    } catch {
      say('The browser does not let this page copy.');
    }
  };
  return el('button', { class: 'copy', type: 'button', title: `Copy ${text}`, text: shown, on: { click: copy } });
}

let saying;
function say(text) {
  const place = document.getElementById('said');
  place.textContent = text;
  clearTimeout(saying);
  saying = setTimeout(() => (place.textContent = ''), 2500);
}

class Trouble extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

// Whether there was one.
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has('key')) return false;
  remember(KEY, given.get('key').trim());
  given.delete('key');
  history.replaceState(history.state, '', location.pathname + location.search + (given.size ? `#${given}` : ''));
  return true;
}

// What this tab remembers; where the browser forbids that, this page does, until it is left.
const remembered = new Map();

function remember(name, text) {
  remembered.set(name, text);
  try {
    sessionStorage.setItem(name, text);
  } catch {}
}

function recall(name) {
  try {
    return sessionStorage.getItem(name) ?? '';
  } catch {
    return remembered.get(name) ?? '';
  }
}

async function ask(path, params = new URLSearchParams(), signal = undefined) {
  const key = recall(KEY);
  if (key === '') throw new Trouble('auth.missing', '');
  if (!/^[!-~]+$/.test(key))
    throw new Trouble('auth.invalid', 'This is no key: it holds spaces or other signs that no key has.');
  const query = params.size ? `?${params}` : '';
  let answer;
  try {
    answer = await fetch(path + query, { headers: { Authorization: `Bearer ${key}` }, cache: 'no-store', signal });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Trouble('away', 'The gateway does not answer.');
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw new Trouble(body.code ?? `http.${answer.status}`, body.detail ?? `The gateway answered ${answer.status}.`);
}

// The list as it was last asked for in this tab.
function listAddress() {
  return `/traces${recall(LIST)}`;
}

// A place for what there is instead of content.
function state(title, ...rest) {
  return el('section', { class: 'state' }, el('h2', { text: title }), ...rest);
}

function loadingState() {
  return el('p', { class: 'state loading', text: 'Loading …' });
}

function keyForm(trouble, go) {
  const input = el('input', {
    type: 'password',
    id: 'key',
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: 'chq_admin_…',
    'aria-describedby': 'key-about',
  });
  const submit = (event) => {
    event.preventDefault();
    if (input.value.trim() === '') return input.focus();
    remember(KEY, input.value.trim());
    go();
  };
  const wrong = trouble.code === 'auth.missing' ? null : el('p', { class: 'bad', role: 'alert', text: trouble.message });
  const form = el(
    'form',
    { class: 'key', on: { submit } },
    el('label', { for: 'key', text: 'Operator’s key' }),
    input,
    el('button', { class: 'main', type: 'submit', text: 'Show traces' }),
  );
  const about = el(
    'p',
    { id: 'key-about', class: 'soft' },
    'It stays in this tab and goes to this gateway only. A local run prints one as ',
    el('i', { text: 'Admin key' }),
    '; ',
    el('code', { text: 'make admin NAME=…' }),
    ' makes another.',
  );
  queueMicrotask(() => input.focus());
  return state('Traces are for operators', wrong, form, about);
}

function troubleState(trouble, again) {
  if (trouble.code.startsWith('auth.')) return keyForm(trouble, again);
  const retry = el('button', { class: 'main', type: 'button', text: 'Try again', on: { click: again } });
  if (trouble.code === 'traces.not_kept') {
    return state(
      'No spans are kept here',
      el(
        'p',
        {},
        'Set ',
        el('code', { text: 'CHASQUI_GATEWAY__KEEP_SPANS' }),
        ' to how many the gateway is to keep, or look where ',
        el('code', { text: 'CHASQUI_TELEMETRY__OTLP_ENDPOINT' }),
        ' sends them.',
      ),
    );
  }
  if (trouble.code === 'trace.unknown') {
    return state(
      'This trace is not here',
      el('p', {
        text: 'Nobody recorded it (the sample ratio), or its spans are on their way for some seconds yet, or it is so old that it has gone.',
      }),
      el('p', { class: 'soft' }, 'A request with ', el('code', { text: 'X-Chasqui-Trace: record' }), ' is always recorded.'),
      el('p', {}, retry, ' ', el('a', { href: '/traces', text: 'All traces' })),
    );
  }
  return state(
    'That did not work',
    el('p', { class: 'bad', role: 'alert', text: trouble.message }),
    el('p', { class: 'soft' }, el('code', { text: trouble.code })),
    el('p', {}, retry),
  );
}
