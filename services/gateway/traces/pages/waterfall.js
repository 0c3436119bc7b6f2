// One trace: its spans as a tree, on one clock.
const YOUNG_MS = 20000;

function tracePage(top, main, traceId) {
  let detail = null,
    rows = [],
    open = new Set(),
    closed = new Set(),
    at = null,
    wanted = '',
    folded = null,
    timer;
  const messageId = new URLSearchParams(location.search).get('message_id');

  const back = () => el('h1', {}, el('a', { href: listAddress(), text: '‹ Traces' }));

  async function load() {
    clearTimeout(timer);
    if (!main.hasChildNodes()) main.replaceChildren(loadingState());
    main.setAttribute('aria-busy', 'true');
    try {
      detail = await ask(`/admin/traces/${traceId}`, new URLSearchParams(messageId ? { message_id: messageId } : {}));
      prepare();
      draw();
      const { started_at: started, duration_ms: long } = detail.trace;
      if (Date.now() - Date.parse(started) - long < YOUNG_MS)
        timer = setTimeout(() => (document.hidden ? (timer = setTimeout(load, YOUNG_MS)) : load()), 2000);
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      if (detail && error.code === 'away') return say('The gateway does not answer; what is shown is what it was.');
      top.replaceChildren(back(), copyable(traceId));
      main.replaceChildren(troubleState(error, load));
    } finally {
      main.removeAttribute('aria-busy');
    }
  }

  function prepare() {
    rows = treeOf(detail.spans);
    if (!rows.some((one) => one.span_id === at)) at = null;
    const scale = scaleOf(rows, true);
    folded = folded ?? scale.idle > scale.whole * 0.4;
  }

  function draw() {
    const { trace, linked_from: linkedFrom, is_cut: isCut } = detail;
    const scale = scaleOf(rows, folded);
    const perService = new Map();
    for (const node of rows) perService.set(node.service, (perService.get(node.service) ?? 0) + 1);
    document.title = `${trace.name} · ${duration(trace.duration_ms)} · Traces`;
    const find = el('input', {
      type: 'search',
      id: 'q',
      value: wanted,
      placeholder: 'find in the spans',
      'aria-label': 'Find in the spans',
      autocomplete: 'off',
      spellcheck: 'false',
      on: {
        input: (event) => {
          wanted = event.target.value;
          dim();
        },
      },
    });
    const fold = el('button', {
      type: 'button',
      id: 'fold',
      class: 'toggle',
      aria: { pressed: folded },
      title: 'Fold the time in which nothing happened (z)',
      text: 'Fold waiting',
      on: { click: toggleFold },
      hidden: !scale.canFold,
    });
    const next = trace.failed
      ? el('button', {
          type: 'button',
          id: 'failed',
          class: 'bad',
          title: 'Next failed span (e)',
          text: `${trace.failed} failed ▸`,
          on: { click: () => nextFailed() },
        })
      : null;
    if (!top.querySelector('#q')) {
      top.replaceChildren(
        back(),
        el('div', { class: 'tools' }, find, el('span', { class: 'buttons' })),
      );
    }
    const pressed = document.activeElement.id;
    top
      .querySelector('.buttons')
      .replaceChildren(
        ...[next, fold, el('button', { type: 'button', id: 'again', text: 'Refresh', title: 'Refresh (r)', on: { click: load } })].filter(
          Boolean,
        ),
      );
    if (['fold', 'failed', 'again'].includes(pressed)) document.getElementById(pressed)?.focus();
    const facts = el(
      'section',
      { class: 'facts' },
      el('h2', {}, chip(trace.service), ' ', trace.name),
      el(
        'p',
        {},
        el('b', { text: duration(trace.duration_ms) }),
        ` · ${count(trace.spans, 'span')} · `,
        el('time', { datetime: trace.started_at, text: clock(trace.started_at) }),
        ' · ',
        copyable(traceId),
        trace.tenant_id ? ' · ' : '',
        trace.tenant_id ? el('a', { href: `/traces?q=${encodeURIComponent(trace.tenant_id)}`, text: trace.tenant_id }) : '',
      ),
      el('p', { class: 'legend' }, ...[...perService].map(([name, many]) => chip(name, many))),
      messageId
        ? el(
            'p',
            { class: 'note' },
            'Only ',
            el('code', { text: messageId }),
            '. ',
            el('a', { href: location.pathname, text: 'The whole trace' }),
          )
        : null,
      trace.has_root
        ? null
        : el('p', { class: 'note', text: 'Its root is not here: it is on its way, gone, or of whoever called.' }),
      isCut
        ? el('p', {
            class: 'note',
            text: `The first ${count(rows.length, 'span')}; add ?message_id=… for those of one message.`,
          })
        : null,
    );
    const tree = el(
      'div',
      { class: 'tree', role: 'tree', 'aria-label': 'Spans' },
      ruler(scale),
      ...rows
        .flatMap((node) => [rowOf(node, scale), open.has(node.span_id) ? detailOf(node, traceId, messageId) : null])
        .filter(Boolean),
    );
    const links = linkedFrom.length
      ? el(
          'section',
          { class: 'linked' },
          el('h3', { text: 'Linked from' }),
          ...linkedFrom.map((link) => linkLine(link, traceId)),
        )
      : null;
    const scroll = window.scrollY,
      hadFocus = main.contains(document.activeElement);
    main.replaceChildren(facts, tree, ...(links ? [links] : []));
    window.scrollTo(0, scroll);
    hide();
    dim();
    if (hadFocus && at !== null) focus(at, false);
  }

  // Those whose words do not run into one another.
  function apart(ticks) {
    const wide = main.clientWidth * (matchMedia('(max-width: 40rem)').matches ? 0.95 : 0.6);
    let from = -1;
    return ticks.filter(({ x }) => {
      if (from >= 0 && (x - from) * wide < 70) return false;
      from = x;
      return true;
    });
  }

  function ruler(scale) {
    const marks = apart(scale.ticks).map(({ x, text }) => el('span', { class: 'tick', vars: { x }, text }));
    const folds = scale.folds.map(({ x, w, ms }) =>
      el('span', { class: 'fold', vars: { x, w }, title: `nothing for ${duration(ms)}` }),
    );
    return el(
      'div',
      { class: 'row ruler', role: 'presentation' },
      el('span', { class: 'what' }),
      el('span', { class: 'when' }, ...folds, ...marks),
    );
  }

  function rowOf(node, scale) {
    const from = scale.x(node.offset_ms),
      to = scale.x(node.offset_ms + node.duration_ms);
    const isParent = node.children.length > 0;
    const caret = el('button', {
      type: 'button',
      class: 'caret',
      tabindex: '-1',
      'aria-hidden': 'true',
      text: isParent ? (closed.has(node.span_id) ? '▸' : '▾') : '',
      on: {
        click: (event) => {
          event.stopPropagation();
          fold(node);
        },
      },
    });
    const bad = node.failed ? el('em', { text: String(node.attributes['error.type'] ?? 'failed') }) : null;
    const lost =
      node.parent_id && !node.parent
        ? el('small', { title: `Its cause, span ${node.parent_id}, is not here`, text: '↥' })
        : null;
    const ticks = node.events.map((event) =>
      el('u', { vars: { x: scale.x(event.offset_ms) }, title: `${event.name} · ${duration(event.offset_ms)}` }),
    );
    return el(
      'div',
      {
        class: `row span${node.failed ? ' failed' : ''}${node.hasBad && !node.failed ? ' above' : ''}`,
        role: 'treeitem',
        id: `s-${node.span_id}`,
        tabindex: '-1',
        data: { id: node.span_id },
        'aria-level': node.depth + 1,
        'aria-expanded': isParent ? String(!closed.has(node.span_id)) : undefined,
        'aria-label': `${node.service}: ${node.name}, ${duration(node.duration_ms)}${node.failed ? ', failed' : ''}`,
        vars: { hue: hue(node.service), depth: Math.min(node.depth, 24) },
        on: {
          click: () => {
            focus(node.span_id);
            toggle(node);
          },
          focus: () => (at = node.span_id),
        },
      },
      el(
        'span',
        { class: 'what' },
        caret,
        el('i', { class: 'lane', title: node.service }),
        el('span', { class: 'name', title: `${node.service}: ${node.name}`, text: node.name }),
        lost,
        node.links.length ? el('small', { title: count(node.links.length, 'link'), text: `⇄${node.links.length}` }) : null,
        bad,
      ),
      el(
        'span',
        { class: 'when' },
        ...scale.folds.map(({ x, w }) => el('span', { class: 'fold', vars: { x, w } })),
        el('span', { class: 'bar', vars: { x: from, w: to - from } }),
        ...ticks,
        el('span', {
          class: from > 0.72 ? 'took left' : 'took',
          vars: { x: from > 0.72 ? from : to },
          text: duration(node.duration_ms),
        }),
      ),
    );
  }

  const place = (id) => document.getElementById(`s-${id}`);
  const node = () => rows.find((one) => one.span_id === at) ?? null;

  function toggle(one) {
    if (open.delete(one.span_id)) return main.querySelector(`.detail[data-of="${CSS.escape(one.span_id)}"]`)?.remove();
    open.add(one.span_id);
    place(one.span_id).after(detailOf(one, traceId, messageId));
  }

  function fold(one, isClosed = !closed.has(one.span_id)) {
    if (!one.children.length) return;
    if (isClosed) closed.add(one.span_id);
    else closed.delete(one.span_id);
    place(one.span_id).querySelector('.caret').textContent = isClosed ? '▸' : '▾';
    place(one.span_id).setAttribute('aria-expanded', !isClosed);
    hide();
  }

  function hide() {
    for (const one of rows) {
      one.hidden = one.parent !== undefined && (one.parent.hidden || closed.has(one.parent.span_id));
      place(one.span_id).hidden = one.hidden;
      if (open.has(one.span_id)) main.querySelector(`.detail[data-of="${CSS.escape(one.span_id)}"]`).hidden = one.hidden;
    }
    if (rows.length) place(at ?? rows[0].span_id).tabIndex = 0;
  }

  // What is looked for stays bright.
  function dim() {
    const word = wanted.trim().toLowerCase();
    for (const one of rows) {
      const text =
        word === ''
          ? ''
          : `${one.service} ${one.name} ${one.span_id} ${JSON.stringify(one.attributes)} ${JSON.stringify(one.events)}`.toLowerCase();
      place(one.span_id).classList.toggle('dim', word !== '' && !text.includes(word));
    }
  }

  function focus(id, doScroll = true) {
    if (at !== null && place(at)) place(at).tabIndex = -1;
    at = id;
    place(id).tabIndex = 0;
    place(id).focus({ preventScroll: !doScroll });
    if (doScroll) place(id).scrollIntoView({ block: 'nearest' });
  }

  function move(step) {
    const shown = rows.filter((one) => !one.hidden && !place(one.span_id).classList.contains('dim'));
    if (!shown.length) return;
    const index = shown.findIndex((one) => one.span_id === at);
    focus(shown[index < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, index + step))].span_id);
  }

  function nextFailed() {
    const bad = rows.filter((one) => one.failed);
    if (!bad.length) return say('No span failed.');
    const from = node()?.number ?? -1;
    const found = bad.find((one) => one.number > from) ?? bad[0];
    reveal(found);
  }

  function reveal(one) {
    for (let above = one.parent; above; above = above.parent) fold(above, false);
    focus(one.span_id);
    if (!open.has(one.span_id)) toggle(one);
  }

  function toggleFold() {
    folded = !folded;
    draw();
  }

  function sideways(isLeft) {
    const one = node();
    if (!one) return move(1);
    if (isLeft) return one.children.length && !closed.has(at) ? fold(one, true) : one.parent && focus(one.parent.span_id);
    return closed.has(at) ? fold(one, false) : one.children.length && move(1);
  }

  // `#at=` and a span's id leads to it.
  function goToNamed() {
    const named = new URLSearchParams(location.hash.slice(1)).get('at');
    const found = rows.find((one) => one.span_id === named);
    if (!found) return;
    reveal(found);
  }

  window.addEventListener('hashchange', goToNamed);
  load().then(goToNamed);
  return {
    j: [() => move(1), 'next span'],
    k: [() => move(-1), 'span before'],
    ArrowDown: [() => move(1)],
    ArrowUp: [() => move(-1)],
    Home: [() => move(-Infinity)],
    End: [() => move(Infinity)],
    ArrowRight: [() => sideways(false), 'unfold'],
    ArrowLeft: [() => sideways(true), 'fold, or to the cause'],
    Enter: [() => node() && toggle(node()), 'attributes, events, links'],
    ' ': [() => node() && toggle(node())],
    e: [nextFailed, 'next failed span'],
    z: [toggleFold, 'fold waiting'],
    '/': [() => document.getElementById('q')?.focus(), 'find'],
    r: [load, 'refresh'],
    Escape: [() => location.assign(listAddress()), 'all traces'],
  };
}
