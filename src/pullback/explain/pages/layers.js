// Layers: one row each with its course over the epochs, and histograms over time of the chosen one.

const QUANTITIES = [
  ["weight", "weights"],
  ["gradient", "gradient of the weights"],
  ["activation", "activations"],
  ["delta", "gradient of the activations"],
];

function layersTable({ epochs, rows }, warned) {
  const detail = element("div", { class: "four", "aria-live": "polite" });
  const body = element("tbody");
  const choose = (chosen) => {
    [...body.children].forEach((row, i) => {
      row.setAttribute("aria-selected", String(i === chosen));
      row.tabIndex = i === chosen ? 0 : -1;
    });
    const shown = QUANTITIES.filter(([key]) => rows[chosen].records.some((r) => r && r[key]));
    detail.replaceChildren(
      ...shown.map(([key, name]) =>
        ridges(
          name,
          epochs,
          rows[chosen].records.map((r) => r && r[key]),
        ),
      ),
    );
  };
  rows.forEach((row, i) => body.append(layerRow(row, warned.has(row.path), () => choose(i))));
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const next = [...body.children].indexOf(document.activeElement) + (step || 0);
    if (!step || !body.children[next]) return;
    event.preventDefault();
    choose(next);
    body.children[next].focus();
  });
  const titles = [
    "layer",
    "kind",
    "weights ‖w‖",
    "gradient ‖∇w‖",
    "activations, mean ± std",
    "gradient of them",
    "dead units",
    "step / weights",
  ];
  const head = element(
    "tr",
    {},
    ...titles.map((t, k) => element("th", { class: k < 2 ? "left" : "", scope: "col" }, t)),
  );
  choose(0);
  const table = element("table", { role: "grid", "aria-label": "layers" }, element("thead", {}, head), body);
  return [element("div", { class: "table" }, table), detail];
}

function layerRow({ path, kind, records }, warned, choose) {
  const last = records[records.length - 1] || {};
  const course = (key) => spark(records.map((r) => (r && r[key] ? r[key].norm : null)));
  const cell = (text, picture, alarm) =>
    element("td", { class: alarm ? "alarm" : "" }, picture || "", element("span", { class: "figure" }, text));
  const norm = (key) =>
    last[key] ? cell(number(last[key].norm, 3), course(key), last[key].bad > 0) : cell("", null);
  const active = last.activation
    ? `${number(last.activation.mean, 2)} ± ${number(last.activation.std, 2)}`
    : "";
  const dead = last.dead === null || last.dead === undefined ? "" : `${Math.round(100 * last.dead)} %`;
  return element(
    "tr",
    { class: "choosable", tabindex: -1, onclick: choose, onfocus: choose },
    element(
      "td",
      { class: warned ? "left mono warned" : "left mono", title: warned ? "see the warning above" : null },
      path || "model",
    ),
    element("td", { class: "left" }, kind),
    norm("weight"),
    norm("gradient"),
    cell(active, null),
    norm("delta"),
    cell(dead, null, last.dead > 0.5),
    cell(last.update === null || last.update === undefined ? "" : number(last.update, 2), null),
  );
}

function spark(values) {
  const known = values.filter((v) => v !== null);
  const picture = mark("svg", { viewBox: "0 0 88 20", "aria-hidden": "true" });
  if (known.length < 2) return picture;
  const low = Math.min(...known),
    high = Math.max(...known);
  const log = low > 0 && high / low > 20;
  const xs = values.map((_, i) => i);
  const x = scale(xs, 2, 86),
    y = scale(known, 18, 2, { log });
  picture.append(mark("path", { class: "curve blue", d: path(xs, values, x, y) }));
  return picture;
}

// Histograms one behind another, the first epoch at the back, on one scale of values.
function ridges(title, epochs, spreads) {
  const frame = { width: 290, height: 250, left: 36, right: 10, top: 34, bottom: 26 };
  const known = spreads.map((s, i) => ({ s, epoch: epochs[i] })).filter(({ s }) => s);
  const x = scale(
    known.flatMap(({ s }) => [s.low, s.high]),
    frame.left,
    frame.width - frame.right,
  );
  const y = { ticks: [], at: () => 0, label: String };
  const thinned = { ...x, ticks: x.ticks.length > 4 ? x.ticks.filter((_, i) => i % 2 === 0) : x.ticks };
  const chart = axes({ title, xLabel: "", x: thinned, y, frame });
  const floor = frame.height - frame.bottom,
    gap = (floor - frame.top - 44) / Math.max(1, known.length - 1);
  const every = Math.ceil(known.length / 6);
  known.forEach(({ s, epoch }, i) => {
    const base = floor - (known.length - 1 - i) * gap,
      step = (s.high - s.low) / s.counts.length;
    const share = Math.max(...s.counts) || 1;
    const points = s.counts.map(
      (c, k) => `L${x.at(s.low + (k + 0.5) * step).toFixed(1)} ${(base - (c / share) * 40).toFixed(1)}`,
    );
    chart.append(
      mark("path", {
        class: "ridge",
        d: `M${x.at(s.low).toFixed(1)} ${base.toFixed(1)}${points.join("")}L${x.at(s.high).toFixed(1)} ${base.toFixed(1)}`,
      }),
    );
    if ((known.length - 1 - i) % every === 0)
      chart.append(mark("text", { x: frame.left - 8, y: base + 4, "text-anchor": "end" }, String(epoch)));
  });
  chart.append(
    mark(
      "text",
      { x: frame.left - 8, y: frame.top - 4, "text-anchor": "end" },
      known.length > 1 ? "epoch" : "",
    ),
  );
  return chart;
}

// The size of the gradient layer by layer, at the first record and at the last.
function gradientFlow({ epochs, rows }) {
  const there = rows.filter((row) => row.records.some((r) => r && r.delta));
  if (there.length < 3) return null;
  const xs = there.map((_, i) => i + 1);
  const at = (k) =>
    there.map(({ records }) =>
      records[k] && records[k].delta && records[k].delta.norm > 0 ? records[k].delta.norm : null,
    );
  const last = epochs.length - 1;
  const series = [{ name: `epoch ${epochs[0]}`, values: at(0), colour: "orange" }];
  if (last > 0) series.push({ name: `epoch ${epochs[last]}`, values: at(last), colour: "blue" });
  return curves({
    title: "Gradient by the outputs of each layer, ‖∂L/∂a‖",
    xLabel: "layer",
    xs,
    series,
    log: true,
  });
}

// How large the optimizer's steps are beside the weights, in the first layer with weights and the last.
function stepSizes({ epochs, rows }) {
  const there = rows.filter((row) => row.records.some((r) => r && r.update));
  if (!there.length || epochs.length < 2) return null;
  const chosen = there.length > 1 ? [there[0], there[there.length - 1]] : there;
  const short = (path) => (path.length > 11 ? `…${path.slice(-10)}` : path || "model");
  const series = chosen.map(({ path: name, records }, i) => ({
    name: short(name),
    colour: i ? "blue" : "orange",
    values: records.map((r) => (r && r.update ? r.update : null)),
  }));
  return curves({ title: "Next step / weights, ‖Δw‖ / ‖w‖", xLabel: "epoch", xs: epochs, series, log: true });
}
