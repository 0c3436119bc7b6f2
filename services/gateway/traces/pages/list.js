// The list: what is asked for stands in the address, so that it can be shared and gone back to.
const RANGES = {
  '5m': [5, 'last 5 min'],
  '15m': [15, 'last 15 min'],
  '1h': [60, 'last hour'],
  '6h': [360, 'last 6 h'],
  '24h': [1440, 'last day'],
};
const LIVE_MS = 2000;

function listPage(top, main) {
  const asked = new URLSearchParams(location.search);
  let rows = [],
    cursor = null,
    isLive = asked.has('live'),
    timer,
    loading;

  const box = el('input', {
    type: 'search',
    id: 'q',
    value: asked.get('q') ?? '',
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: 'msg_…  tnt_…  trace id  part of a span’s name',
    'aria-label': 'Search: message, tenant, trace, or part of a span’s name',
  });
  const select = (name, label, options) => {
    const choice = el(
      'select',
      { 'aria-label': label, on: { change: () => apply() } },
      ...options.map(([value, text]) => el('option', { value, text })),
    );
    choice.value = asked.get(name) ?? '';
    return choice;
  };
  const service = select('service', 'Service', [['', 'any service'], ...Object.keys(HUES).map((name) => [name, name])]);
  const status = select('status', 'Status', [
    ['', 'any status'],
    ['error', 'failed'],
    ['ok', 'not failed'],
  ]);
  const range = select('range', 'Time', [
    ['', 'any time'],
    ...Object.entries(RANGES).map(([value, [, text]]) => [value, text]),
  ]);
  const longer = el('input', {
    type: 'number',
    min: '0',
    step: 'any',
    value: asked.get('min') ?? '',
    placeholder: 'ms',
    'aria-label': 'Shortest duration of a span, in milliseconds',
    on: { change: () => apply() },
  });
  const batches = el('button', {
    type: 'button',
    class: 'toggle',
    text: 'Batches',
    title: 'Traces of batches too (b)',
    aria: { pressed: asked.has('batches') },
    on: { click: toggleBatches },
  });
  const live = el('button', {
    type: 'button',
    class: 'toggle',
    text: 'Live',
    title: 'New traces as they come (l)',
    aria: { pressed: isLive },
    on: { click: toggleLive },
  });
  const again = el('button', { type: 'button', text: 'Refresh', title: 'Refresh (r)', on: { click: () => load() } });
  const form = el(
    'form',
    {
      class: 'filters',
      role: 'search',
      on: {
        submit: (event) => {
          event.preventDefault();
          apply();
        },
      },
    },
    box,
    service,
    status,
    el('label', { class: 'longer' }, 'span ≥', longer),
    range,
    el('button', { type: 'submit', class: 'main', text: 'Search' }),
    batches,
    live,
    again,
  );
  top.replaceChildren(el('h1', {}, el('a', { href: '/traces', text: 'Traces' })), form);

  function fields() {
    return {
      q: box.value.trim(),
      service: service.value,
      status: status.value,
      min: longer.value,
      range: range.value,
      batches: hasBatches() ? '1' : '',
      live: isLive ? '1' : '',
    };
  }

  function apply() {
    const trace = TRACE_ID.exec(box.value);
    if (trace && !/(msg|tnt)_/.test(box.value)) return location.assign(`/traces/${trace[1]}`);
    const kept = new URLSearchParams(Object.entries(fields()).filter(([, value]) => value !== ''));
    history.replaceState(null, '', kept.size ? `/traces?${kept}` : '/traces');
    load();
  }

  function params() {
    const found = new URLSearchParams({ limit: '100' });
    const named = [];
    for (const word of fields().q.split(/\s+/).filter(Boolean)) {
      if (word.startsWith('msg_')) found.set('message_id', word);
      else if (word.startsWith('tnt_')) found.set('tenant_id', word);
      else named.push(word);
    }
    if (named.length) found.set('name', named.join(' '));
    if (service.value) found.set('service', service.value);
    if (status.value) found.set('status', status.value);
    if (longer.value) found.set('min_duration_ms', longer.value);
    if (!hasBatches() && !found.has('name') && !found.has('message_id')) found.set('batches', 'false');
    if (range.value) found.set('since', new Date(Date.now() - RANGES[range.value][0] * 60000).toISOString());
    return found;
  }

  async function load(more = false) {
    clearTimeout(timer);
    loading?.abort();
    loading = new AbortController();
    remember(LIST, location.search);
    if (!main.hasChildNodes()) main.replaceChildren(loadingState());
    const query = params();
    if (more) query.set('cursor', cursor);
    main.setAttribute('aria-busy', 'true');
    try {
      const page = await ask('/admin/traces', query, loading.signal);
      rows = more ? [...rows, ...page.data] : page.data;
      cursor = page.next_cursor ?? null;
      draw();
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (!(error instanceof Trouble)) throw error;
      if (rows.length && error.code === 'away') say('The gateway does not answer; what is shown is what it was.');
      else return main.replaceChildren(troubleState(error, () => load()));
    } finally {
      main.removeAttribute('aria-busy');
    }
    if (isLive)
      timer = setTimeout(
        () => (document.hidden ? document.addEventListener('visibilitychange', () => load(), { once: true }) : load()),
        LIVE_MS,
      );
  }

  function hasBatches() {
    return batches.getAttribute('aria-pressed') === 'true';
  }

  function toggleBatches() {
    batches.setAttribute('aria-pressed', !hasBatches());
    apply();
  }

  function toggleLive() {
    isLive = !isLive;
    live.setAttribute('aria-pressed', isLive);
    apply();
  }

  function draw() {
    if (!rows.length) return main.replaceChildren(emptyState());
    const focused = main.contains(document.activeElement) ? document.activeElement.dataset.trace : undefined;
    const longest = Math.max(...rows.map((row) => row.longest_span_ms), 0.001);
    const table = el('ol', { class: 'traces' }, ...rows.map((row) => el('li', {}, line(row, longest))));
    const told = el('p', {
      class: 'soft told',
      text: `${count(rows.length, 'trace')}${cursor ? ', and more' : ''} · newest first · bars: the longest span, on a scale of powers of ten`,
    });
    const on = cursor
      ? el('button', { type: 'button', class: 'more', text: 'Older traces', on: { click: () => load(true) } })
      : null;
    main.replaceChildren(told, table, ...(on ? [on] : []));
    if (focused) main.querySelector(`[data-trace="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  function line(row, longest) {
    const share = Math.log10(1 + row.longest_span_ms * 100) / Math.log10(1 + longest * 100);
    const message = /msg_[0-9a-v]{26}/.exec(fields().q);
    return el(
      'a',
      {
        class: row.failed ? 'trace failed' : 'trace',
        href: `/traces/${row.trace_id}${message ? `?message_id=${message[0]}` : ''}`,
        data: { trace: row.trace_id },
        vars: { hue: hue(row.service) },
      },
      el('time', { datetime: row.started_at, title: row.started_at, text: clock(row.started_at) }),
      el(
        'span',
        { class: 'name' },
        chip(row.service),
        ' ',
        el('b', { text: row.name }),
        row.has_root ? null : el('small', { text: ' …', title: 'Its root is not here' }),
      ),
      el(
        'span',
        { class: 'bar', vars: { w: share }, title: `longest span ${duration(row.longest_span_ms)}` },
        el('i'),
        el('span', { text: duration(row.longest_span_ms) }),
      ),
      el('span', {
        class: 'whole',
        title: 'from the first span’s start to the last one’s end',
        text: duration(row.duration_ms),
      }),
      el('span', { class: 'spans', text: count(row.spans, 'span') }),
      el(
        'span',
        { class: 'dots', title: row.services.join(', '), aria: { label: row.services.join(', ') } },
        ...row.services.map((name) => el('i', { vars: { hue: hue(name) } })),
      ),
      el('span', { class: 'errors', text: row.failed ? `${row.failed} failed` : '' }),
      el('span', { class: 'tenant', text: row.tenant_id ?? '' }),
    );
  }

  function emptyState() {
    const { live: _, ...wanted } = fields();
    if (Object.values(wanted).every((value) => value === '')) {
      return state('No traces yet', el('p', { text: 'Send a message: a second later it stands here.' }));
    }
    return state(
      'Nothing matches',
      el('p', { text: 'What is asked of a span, service, failure, duration and name, one and the same span must fulfil.' }),
      el('p', {}, el('a', { href: '/traces', text: 'Clear the search' })),
    );
  }

  function move(step) {
    const links = [...main.querySelectorAll('a.trace')];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step))].focus();
  }

  document.title = 'Traces · Chasqui';
  load();
  return {
    j: [() => move(1), 'next trace'],
    k: [() => move(-1), 'trace before'],
    ArrowDown: [() => move(1)],
    ArrowUp: [() => move(-1)],
    Home: [() => move(-Infinity)],
    End: [() => move(Infinity)],
    '/': [
      () => {
        box.focus();
        box.select();
      },
      'search',
    ],
    r: [() => load(), 'refresh'],
    l: [toggleLive, 'live'],
    b: [toggleBatches, 'batches too'],
    f: [
      () => {
        status.value = status.value === 'error' ? '' : 'error';
        apply();
      },
      'failed only',
    ],
  };
}
