// The graph on a canvas: only what is in sight, and text only where it can be read.

const FONT = '12px ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace';
const SMALL = '10.5px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const RAMP = {
  light: ["#eef3f7", "#b9d6ea", "#6aaed6", "#2171b5", "#08306b"],
  dark: ["#1d2733", "#1c4263", "#2b6a9b", "#4f9fd3", "#a9dcff"],
};

function palette() {
  const names = [
    "paper",
    "panel",
    "line",
    "ink",
    "soft",
    "faint",
    "blue",
    "orange",
    "wash",
    "warm",
    "focus",
    "bad",
  ];
  const found = Object.fromEntries(names.map((name) => [name, themeColour(name)]));
  found.ramp = RAMP[document.documentElement.dataset.theme === "dark" ? "dark" : "light"];
  return found;
}

// How large the box of a node or a folded scope is, by its text.
function measured(context, graph) {
  const known = new Map();
  const width = (text, font) => {
    const key = font + text;
    if (!known.has(key)) {
      context.font = font;
      known.set(key, context.measureText(text).width);
    }
    return known.get(key);
  };
  return (box) => {
    const [title, below] = captions(box, graph);
    const w = Math.max(width(title, FONT), width(below, SMALL)) + 22;
    return [Math.max(w, 44), below ? 40 : 28];
  };
}

// The two lines on a box.
function captions(box, graph) {
  if (box.scope !== undefined) {
    const { path: place, kind } = graph.scopes[box.scope];
    const name = place.split(".").pop() || "model";
    return box.open ? [`${name}  ${kind}`, ""] : [`${name}  ▸`, kind];
  }
  const node = graph.nodes[box.node];
  const name = node.kind === "operation" ? node.label : node.label.split(".").pop();
  return [name.length > 24 ? `${name.slice(0, 23)}…` : name, node.aval.split(" ")[0].slice(0, 24)];
}

function drawGraph(context, { layout, graph, view, mode, chosen, hovered, colours, shade, width, height }) {
  const { scale, x, y } = view;
  context.setTransform(1, 0, 0, 1, 0, 0);
  const ratio = window.devicePixelRatio || 1;
  context.fillStyle = colours.panel;
  context.fillRect(0, 0, width * ratio, height * ratio);
  context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
  const sight = {
    left: -x / scale,
    top: -y / scale,
    right: (width - x) / scale,
    bottom: (height - y) / scale,
  };
  const inSight = (b) =>
    b.x <= sight.right && b.x + b.w >= sight.left && b.y <= sight.bottom && b.y + b.h >= sight.top;
  const boxes = layout.boxes.filter(inSight);
  boxes.filter((box) => box.open).forEach((box) => drawContainer(context, box, { graph, colours, scale }));
  drawEdges(context, layout.edges, { sight, mode, colours, chosen, scale });
  boxes
    .filter((box) => !box.open)
    .forEach((box) => drawBox(context, box, { graph, mode, colours, shade, scale }));
  for (const [box, colour, wide] of [
    [hovered, colours.faint, 1.5],
    [chosen, colours.focus, 2.5],
  ]) {
    if (box) outline(context, box, 3, colour, wide / Math.min(1, scale));
  }
}

function drawContainer(context, box, { graph, colours, scale }) {
  rounded(context, box, 10);
  context.fillStyle = colours.paper;
  context.globalAlpha = 0.55;
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.stroke();
  if (scale < 0.3) return;
  const [title] = captions(box, graph);
  const [name, kind] = title.split("  ");
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.font = FONT;
  context.fillStyle = colours.ink;
  context.fillText(name, box.x + 12, box.y + 15);
  const after = context.measureText(name).width;
  context.font = SMALL;
  context.fillStyle = colours.soft;
  context.fillText(kind, box.x + 20 + after, box.y + 15.5);
}

function drawEdges(context, edges, { sight, mode, colours, chosen, scale }) {
  const strokes = new Map();
  for (const edge of edges) {
    const { left, right, top, bottom } = edge.bounds;
    if (bottom < sight.top || top > sight.bottom || right < sight.left || left > sight.right) continue;
    const lit = chosen && (edge.from === chosen || edge.to === chosen);
    const wide = edge.wide[mode];
    const key = `${lit ? 1 : 0} ${wide}`;
    if (!strokes.has(key)) strokes.set(key, { lit, wide, edges: [] });
    strokes.get(key).edges.push(edge);
  }
  const ordered = [...strokes.values()].sort((a, b) => a.lit - b.lit);
  for (const stroke of ordered) {
    const colour = stroke.lit ? (mode === "gradient" ? colours.orange : colours.blue) : colours.faint;
    context.strokeStyle = context.fillStyle = colour;
    context.globalAlpha = stroke.lit ? 1 : 0.75;
    context.lineWidth = Math.max(stroke.wide, 0.6 / scale);
    context.setLineDash(mode === "gradient" && stroke.wide < 0.6 && scale > 0.15 ? [3, 4] : []);
    context.beginPath();
    stroke.edges.forEach((edge) => trace(context, edge.points, scale > 0.15));
    context.stroke();
    context.setLineDash([]);
    if (scale > 0.35 && !(mode === "gradient" && stroke.wide < 0.6)) {
      context.beginPath();
      stroke.edges.forEach((edge) =>
        arrow(context, edge.points, mode === "gradient", 3.2 + 0.6 * stroke.wide),
      );
      context.fill();
    }
  }
  context.globalAlpha = 1;
}

function trace(context, points, curved) {
  context.moveTo(...points[0]);
  if (!curved) {
    context.lineTo(...points[points.length - 1]);
    return;
  }
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1],
      [x1, y1] = points[i],
      middle = (x1 - x0) / 2;
    context.bezierCurveTo(x0 + middle, y0, x1 - middle, y1, x1, y1);
  }
}

function arrow(context, points, back, size) {
  const [x, y] = back ? points[0] : points[points.length - 1],
    onward = back ? -1 : 1;
  context.moveTo(x, y);
  context.lineTo(x - 1.7 * size * onward, y - size);
  context.lineTo(x - 1.7 * size * onward, y + size);
  context.closePath();
}

function drawBox(context, box, { graph, mode, colours, shade, scale }) {
  const node = box.node === undefined ? null : graph.nodes[box.node];
  const shaded = mode === "gradient" ? shade(box) : null;
  const isArgument = node && node.kind !== "operation";
  rounded(context, box, isArgument ? box.h / 2 : 7);
  context.fillStyle = shaded === null ? plainFill(node, isArgument, colours) : colours.ramp[shaded];
  context.fill();
  [context.strokeStyle, context.lineWidth] = border(box, node, colours);
  context.stroke();
  if (scale < 0.3) return;
  const inverse = shaded >= 3;
  const [title, below] = captions(box, graph);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = FONT;
  context.fillStyle = inverse ? colours.paper : colours.ink;
  context.fillText(title, box.x + box.w / 2, box.y + (below ? 14 : box.h / 2));
  if (!below || scale < 0.5) return;
  context.font = SMALL;
  if (!inverse && shaded !== 2) context.fillStyle = colours.soft;
  context.fillText(below, box.x + box.w / 2, box.y + 28.5);
}

function plainFill(node, isArgument, colours) {
  if (!node) return colours.warm;
  return isArgument ? colours.wash : colours.paper;
}

function border(box, node, colours) {
  if (box.bad) return [colours.bad, 2];
  if (!node) return [colours.soft, 1];
  return node.result ? [colours.orange, 2] : [colours.faint, 1];
}

function outline(context, box, gap, colour, wide) {
  rounded(context, { x: box.x - gap, y: box.y - gap, w: box.w + 2 * gap, h: box.h + 2 * gap }, 9);
  context.strokeStyle = colour;
  context.lineWidth = wide;
  context.stroke();
}

function rounded(context, { x, y, w, h }, radius) {
  context.beginPath();
  context.roundRect(x, y, w, h, Math.min(radius, h / 2));
}
