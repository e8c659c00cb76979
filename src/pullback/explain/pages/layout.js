// Where the boxes of a graph go: ranks from inputs to results, one container within another.
// After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
// structures", IEEE Trans. SMC 11(2), 1981: longest paths, barycentres, then places.

const SPACE = { between: 18, ranks: 34, around: 16, heading: 28, bend: 12, longest: 24 };

// Returns {boxes, edges, width, height}. A box is a node, a folded scope, or an open one around
// others; `folded` holds the numbers of folded scopes, `size(box)` tells the least width and height.
// All is laid out from top to bottom and then turned, so that it runs from left to right.
function layoutGraph(graph, folded, size) {
  const root = { id: "root", depth: 0, children: [], links: new Map(), open: true };
  const boxes = [];
  const add = (box, outer) => {
    Object.assign(box, { outer, depth: outer.depth + 1, children: [], links: new Map() });
    outer.children.push(box);
    boxes.push(box);
    return box;
  };
  const ofScope = [];
  graph.scopes.forEach((scope, s) => {
    const outer = scope.parent < 0 ? root : ofScope[scope.parent];
    ofScope.push(outer.open ? add({ id: `s${s}`, scope: s, open: !folded.has(s) }, outer) : outer);
  });
  const ofNode = graph.nodes.map((node, n) => {
    const outer = node.scope < 0 ? root : ofScope[node.scope];
    return outer.open ? add({ id: `n${n}`, node: n, open: false }, outer) : outer;
  });
  const edges = joinedEdges(graph, ofNode);
  edges.forEach(lift);
  arrange(root, (box) => [...size(box)].reverse());
  place(root, 0, 0);
  edges.forEach(route);
  for (const box of [root, ...boxes]) [box.x, box.y, box.w, box.h] = [box.y, box.x, box.h, box.w];
  for (const edge of edges) {
    edge.points = edge.points.map(([x, y]) => [y, x]);
    const xs = edge.points.map(([x]) => x),
      ys = edge.points.map(([, y]) => y);
    edge.bounds = {
      left: Math.min(...xs),
      right: Math.max(...xs),
      top: Math.min(...ys),
      bottom: Math.max(...ys),
    };
  }
  return { boxes, edges, width: root.w, height: root.h };
}

function joinedEdges(graph, ofNode) {
  const found = new Map();
  graph.nodes.forEach((node, n) => {
    node.inputs.forEach((source, k) => {
      const from = ofNode[source],
        to = ofNode[n];
      if (from === to) return;
      const key = `${from.id} ${to.id}`;
      if (!found.has(key)) found.set(key, { from, to, parts: [] });
      found.get(key).parts.push([n, k]);
    });
  });
  return [...found.values()];
}

// Finds the links an edge consists of: out of the containers around its beginning, along the
// innermost one that holds both ends, and into those around its end.
function lift(edge) {
  let { from, to } = edge;
  const out = [],
    into = [];
  while (from.outer !== to.outer) {
    if (from.depth >= to.depth) {
      out.push(linkIn(from.outer, from, null));
      from = from.outer;
    } else {
      into.unshift(linkIn(to.outer, null, to));
      to = to.outer;
    }
  }
  edge.links = [...out, linkIn(from.outer, from, to), ...into];
}

// A link joins two children of a container, or one with the border where `from` or `to` is null.
function linkIn(container, from, to) {
  const key = `${from && from.id} ${to && to.id}`;
  if (!container.links.has(key)) container.links.set(key, { from, to, bends: [] });
  return container.links.get(key);
}

function arrange(box, size) {
  if (!box.open) {
    [box.w, box.h] = size(box);
    return;
  }
  box.children.forEach((child) => arrange(child, size));
  const rows = orderedRows(box, rankedRows(box));
  const heading = box.outer ? SPACE.heading : 0,
    margin = box.outer ? SPACE.around : 0;
  let y = margin;
  for (const row of rows) {
    const tallest = Math.max(...row.map((item) => item.h));
    row.forEach((item) => {
      item.y = y + (tallest - item.h) / 2;
    });
    y += tallest + SPACE.ranks;
  }
  settle(rows);
  const items = rows.flat();
  const left = Math.min(...items.map((i) => i.x - i.w / 2)),
    right = Math.max(...items.map((i) => i.x + i.w / 2));
  items.forEach((item) => {
    item.x += heading + margin - left;
  });
  box.w = right - left + 2 * margin + heading;
  box.h = Math.max(y - SPACE.ranks + margin, box.outer ? size(box)[1] : 0);
}

// Ranks by the longest path from above; what nothing leads to stands right above its first use.
function rankedRows(box) {
  const items = box.children;
  items.forEach((item) => Object.assign(item, { above: [], below: [], rank: 0 }));
  for (const { from, to } of box.links.values()) join(from, to);
  const waiting = new Map(items.map((item) => [item, item.above.length]));
  const ready = items.filter((item) => !item.above.length);
  for (let item = ready.pop(); item; item = ready.pop()) {
    for (const next of item.below) {
      next.rank = Math.max(next.rank, item.rank + 1);
      waiting.set(next, waiting.get(next) - 1);
      if (!waiting.get(next)) ready.push(next);
    }
  }
  for (const item of items) {
    if (!item.above.length && item.below.length) item.rank = Math.min(...item.below.map((b) => b.rank)) - 1;
  }
  const rows = Array.from({ length: 1 + Math.max(0, ...items.map((i) => i.rank)) }, () => []);
  items.forEach((item) => rows[item.rank].push(item));
  return withBends(box, rows).filter((row) => row.length);
}

// A link that passes ranks gets a bend in each, so that it goes around the boxes there.
function withBends(box, rows) {
  for (const { from, to, bends } of box.links.values()) {
    const first = from ? from.rank + 1 : 0,
      end = to ? to.rank : rows.length;
    if (end <= first || end - first > SPACE.longest) continue;
    if (from && to) {
      remove(from.below, to);
      remove(to.above, from);
    }
    let last = from;
    for (let rank = first; rank < end; rank++) {
      const bend = { w: SPACE.bend, h: 0, above: [], below: [], rank };
      join(last, bend);
      bends.push(bend);
      rows[rank].push(bend);
      last = bend;
    }
    join(last, to);
  }
  return rows;
}

function join(from, to) {
  if (!from || !to) return;
  from.below.push(to);
  to.above.push(from);
}

function remove(items, item) {
  items.splice(items.indexOf(item), 1);
}

function orderedRows(box, rows) {
  rows.forEach((row) =>
    row.forEach((item, i) => {
      item.order = i;
    }),
  );
  for (let sweep = 0; sweep < 6; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? rows : [...rows].reverse()) {
      for (const item of row) {
        const near = down ? item.above : item.below;
        item.centre = near.length
          ? near.reduce((sum, other) => sum + other.order, 0) / near.length
          : item.order;
      }
      row.sort((a, b) => a.centre - b.centre || a.order - b.order);
      row.forEach((item, i) => {
        item.order = i;
      });
    }
  }
  return rows;
}

// Moves every item towards the middle of its neighbours, as far as those beside it let it.
function settle(rows) {
  for (const row of rows) {
    let x = 0;
    for (const item of row) {
      item.x = x + item.w / 2;
      x += item.w + SPACE.between;
    }
    for (const item of row) item.x -= (x - SPACE.between) / 2;
  }
  for (let sweep = 0; sweep < 10; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? rows : [...rows].reverse()) {
      const wanted = row.map((item) => {
        const near = (down ? item.above : item.below).length ? (down ? item.above : item.below) : [item];
        return near.reduce((sum, other) => sum + other.x, 0) / near.length;
      });
      const apart = (i) => (row[i].w + row[i + 1].w) / 2 + SPACE.between;
      const right = [...wanted],
        left = [...wanted];
      for (let i = 1; i < row.length; i++) right[i] = Math.max(right[i], right[i - 1] + apart(i - 1));
      for (let i = row.length - 2; i >= 0; i--) left[i] = Math.min(left[i], left[i + 1] - apart(i));
      row.forEach((item, i) => {
        item.x = (left[i] + right[i]) / 2;
      });
    }
  }
}

// From places within the container to places on the plane: x and y of the upper left corner.
function place(box, x, y) {
  box.x = x;
  box.y = y;
  for (const child of box.children) place(child, x + child.x - child.w / 2, y + child.y);
  for (const link of box.links.values()) link.points = link.bends.map((b) => [x + b.x, y + b.y]);
}

// Edges leave behind and arrive in front, side by side in the order of where they come from.
function route(edge) {
  const { from, to, links } = edge;
  to.arriving = to.arriving || [];
  to.arriving.push(edge);
  const start = [from.x + from.w / 2, from.y + from.h];
  edge.points = [start, ...links.flatMap((link) => link.points), [to.x + to.w / 2, to.y]];
  const before = edge.points[edge.points.length - 2][0];
  edge.comesFrom = before;
  to.arriving.sort((a, b) => a.comesFrom - b.comesFrom);
  const step = Math.min(12, (to.w - 16) / to.arriving.length);
  to.arriving.forEach((other, i) => {
    other.points[other.points.length - 1][0] = to.x + to.w / 2 + (i - (to.arriving.length - 1) / 2) * step;
  });
}
