// Spans as a tree, and moments as places on a line. Time in which nothing happened can be folded: a message waits longer than it
// works.
const FOLD_SHARE = 0.03;

// The spans in the order of the tree and of time, with `parent`, `children`, `depth`, `number`, `own` time and `hasBad`: it or one
// below it failed. A span whose parent is not here stands at the top.
function treeOf(spans) {
  const byId = new Map(spans.map((span) => [span.span_id, { ...span, children: [] }]));
  const roots = [];
  for (const node of byId.values()) {
    node.parent = node.parent_id === node.span_id ? undefined : byId.get(node.parent_id);
    (node.parent ? node.parent.children : roots).push(node);
  }
  const rows = [];
  const waiting = roots.reverse().map((node) => [node, 0]);
  while (waiting.length) {
    const [node, depth] = waiting.pop();
    Object.assign(node, { depth, number: rows.length, own: ownTime(node), hasBad: node.failed });
    rows.push(node);
    for (const child of node.children.toReversed()) waiting.push([child, depth + 1]);
  }
  for (const node of rows.toReversed()) if (node.hasBad && node.parent) node.parent.hasBad = true;
  return rows;
}

// Of a span's milliseconds those in which no child of it ran.
function ownTime(node) {
  let busy = 0,
    until = node.offset_ms;
  const end = node.offset_ms + node.duration_ms;
  for (const child of node.children) {
    const from = Math.max(child.offset_ms, until),
      to = Math.min(child.offset_ms + child.duration_ms, end);
    if (to > from) {
      busy += to - from;
      until = to;
    }
  }
  return Math.max(0, node.duration_ms - busy);
}

// Where a moment stands between 0 and 1. With `isFolded`, times in which no span ran shrink to a sliver.
function scaleOf(rows, isFolded) {
  const whole = Math.max(...rows.map((row) => row.offset_ms + row.duration_ms), 0.001);
  const busy = [];
  for (const row of [...rows].sort((a, b) => a.offset_ms - b.offset_ms)) {
    const end = row.offset_ms + row.duration_ms,
      last = busy.at(-1);
    if (last && row.offset_ms <= last[1]) last[1] = Math.max(last[1], end);
    else busy.push([row.offset_ms, end]);
  }
  const gaps = busy.slice(1).map(([from], index) => [busy[index][1], from]);
  const work = whole - gaps.reduce((sum, [from, to]) => sum + to - from, 0);
  const long = gaps.filter(([from, to]) => to - from > Math.max(work, 0.001) * 0.25);
  const idle = long.reduce((sum, [from, to]) => sum + to - from, 0);
  const used = isFolded ? long : [];
  const room = Math.max(0.4, 1 - used.length * FOLD_SHARE),
    sliver = used.length ? (1 - room) / used.length : 0;
  const drawn = Math.max(whole - used.reduce((sum, [from, to]) => sum + to - from, 0), 0.001);
  const x = (moment) => {
    let away = 0,
      slivers = 0;
    for (const [from, to] of used) {
      if (moment >= to) {
        away += to - from;
        slivers += 1;
      } else if (moment > from) {
        away += moment - from;
        slivers += (moment - from) / (to - from);
        break;
      } else break;
    }
    return Math.min(1, Math.max(0, ((moment - away) / drawn) * room + slivers * sliver));
  };
  const folds = used.map(([from, to]) => ({ x: x(from), w: sliver, ms: to - from }));
  const steps = used.length
    ? used.length > 4
      ? [0]
      : [0, ...used.map(([, to]) => to)]
    : [0, 0.25, 0.5, 0.75].map((share) => share * whole);
  const ticks = steps.map((moment) => ({ x: x(moment), text: moment === 0 ? '0' : `+${duration(moment)}` }));
  return { x, folds, ticks, idle, whole, canFold: long.length > 0 };
}
