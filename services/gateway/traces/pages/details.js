// What is known of a span: `messageId` is the message that the page shows already.
function detailOf(node, traceId, messageId) {
  const value = (text) => {
    const shown = String(text);
    return /^(msg|tnt|cnv|num|evt|ent|cmp|sch)_/.test(shown) || /^[0-9a-f]{16,32}$/.test(shown)
      ? copyable(shown)
      : el('span', { text: shown });
  };
  const pairs = (attributes) =>
    Object.entries(attributes)
      .sort(([a], [b]) => a.localeCompare(b))
      .flatMap(([name, given]) => [el('dt', { text: name }), el('dd', {}, value(given))]);
  const first = [
    ['service', node.service],
    ['kind', node.kind],
    ['began', `+${duration(node.offset_ms)}`],
    ['took', duration(node.duration_ms)],
    ...(node.children.length ? [['of that itself', duration(node.own)]] : []),
    ['span', node.span_id],
    ...(node.parent_id ? [['caused by', node.parent_id]] : []),
  ];
  const message = node.attributes.message_id;
  return el(
    'div',
    { class: 'detail', data: { of: node.span_id }, vars: { hue: hue(node.service), depth: Math.min(node.depth, 24) } },
    el('dl', {}, ...first.flatMap(([name, text]) => [el('dt', { text: name }), el('dd', {}, value(text))])),
    Object.keys(node.attributes).length ? el('dl', {}, ...pairs(node.attributes)) : null,
    node.events.length
      ? el(
          'div',
          { class: 'events' },
          el('h4', { text: 'Events' }),
          ...node.events.map((event) =>
            el(
              'div',
              {},
              el('code', { text: `+${duration(event.offset_ms - node.offset_ms)}` }),
              ' ',
              el('b', { text: event.name }),
              ' ',
              ...Object.entries(event.attributes).map(([name, given]) =>
                el('span', { class: 'pair', text: `${name} ${given}` }),
              ),
            ),
          ),
        )
      : null,
    node.links.length
      ? el('div', { class: 'events' }, el('h4', { text: 'Links' }), ...node.links.map((link) => linkLine(link, traceId)))
      : null,
    message && message !== messageId
      ? el(
          'p',
          {},
          el('a', { href: `/traces?q=${encodeURIComponent(message)}`, text: 'All traces of this message' }),
          ' · ',
          el('a', { href: `?message_id=${encodeURIComponent(message)}`, text: 'Only its spans' }),
        )
      : null,
  );
}

// The way to another span.
function linkLine(link, traceId) {
  const name = link.name ? ` ${link.name}` : '';
  const target = link.trace_id === traceId ? `#at=${link.span_id}` : `/traces/${link.trace_id}#at=${link.span_id}`;
  return el(
    'div',
    {},
    link.service ? chip(link.service) : null,
    el('a', { href: target, text: `${name || link.trace_id.slice(0, 16)}` }),
    link.duration_ms === undefined ? '' : ` ${duration(link.duration_ms)}`,
    link.started_at ? ` · ${clock(link.started_at)}` : '',
    link.failed ? el('em', { text: ' failed' }) : null,
  );
}
