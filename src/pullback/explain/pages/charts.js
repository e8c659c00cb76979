// Charts: curves, the confusion matrix, predictions against the truth.

const FRAME = { width: 520, height: 290, left: 58, right: 24, top: 34, bottom: 42 };

function axes({ title, xLabel, yLabel, x, y, frame = FRAME }) {
  const { width, height, left, right, top, bottom } = frame;
  const chart = mark("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  chart.append(mark("text", { class: "title", x: left, y: 16 }, title));
  for (const t of y.ticks) {
    chart.append(
      mark("line", { class: "grid", x1: left, x2: width - right, y1: y.at(t), y2: y.at(t) }),
      mark("text", { x: left - 8, y: y.at(t) + 4, "text-anchor": "end" }, y.label(t)),
    );
  }
  for (const t of x.ticks) {
    chart.append(
      mark("line", { class: "axis", x1: x.at(t), x2: x.at(t), y1: height - bottom, y2: height - bottom + 4 }),
      mark("text", { x: x.at(t), y: height - bottom + 17, "text-anchor": "middle" }, x.label(t)),
    );
  }
  chart.append(
    mark("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    mark("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, xLabel),
  );
  if (yLabel) {
    chart.append(
      mark(
        "text",
        { transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
        yLabel,
      ),
    );
  }
  return chart;
}

function path(xs, ys, x, y) {
  let text = "",
    pen = "M";
  xs.forEach((v, i) => {
    if (ys[i] === null || ys[i] === undefined) {
      pen = "M";
      return;
    }
    text += `${pen}${x.at(v).toFixed(2)} ${y.at(ys[i]).toFixed(2)}`;
    pen = "L";
  });
  return text;
}

// series: [{name, values, colour}]; looking at it with the pointer tells the numbers.
function curves({ title, xLabel, xs, series, log = false }) {
  const frame = { ...FRAME, right: 86 };
  const all = series.flatMap((s) => s.values);
  const x = scale(xs, frame.left, frame.width - frame.right, { whole: true });
  const y = scale(all, frame.height - frame.bottom, frame.top, { log, around: 0.05 });
  const chart = axes({ title, xLabel, x, y, frame });
  const ends = series
    .map((s) => y.at(s.values[s.values.length - 1]))
    .map((v) => Math.min(v, frame.height - frame.bottom - 4));
  if (ends.length === 2 && Math.abs(ends[0] - ends[1]) < 15) {
    const middle = (ends[0] + ends[1]) / 2,
      sign = ends[0] <= ends[1] ? -1 : 1;
    [ends[0], ends[1]] = [middle + 7.5 * sign, middle - 7.5 * sign];
  }
  series.forEach((s, i) => {
    chart.append(mark("path", { class: `curve ${s.colour}`, d: path(xs, s.values, x, y) }));
    if (xs.length === 1)
      chart.append(
        mark("circle", { class: `dot ${s.colour}`, cx: x.at(xs[0]), cy: y.at(s.values[0]), r: 4 }),
      );
    chart.append(mark("text", { class: s.colour, x: frame.width - frame.right + 8, y: ends[i] + 4 }, s.name));
  });
  const hover = mark("g", { class: "hover" });
  chart.append(hover);
  chart.addEventListener("pointermove", (event) => {
    const bounds = chart.getBoundingClientRect();
    const place = ((event.clientX - bounds.left) / bounds.width) * frame.width;
    const i = xs.reduce(
      (best, v, k) => (Math.abs(x.at(v) - place) < Math.abs(x.at(xs[best]) - place) ? k : best),
      0,
    );
    const told = series.map((s) => `${s.name} ${number(s.values[i])}`).join(" · ");
    hover.replaceChildren(
      mark("line", {
        class: "reference",
        x1: x.at(xs[i]),
        x2: x.at(xs[i]),
        y1: frame.top,
        y2: frame.height - frame.bottom,
      }),
      ...series
        .filter((s) => s.values[i] !== null)
        .map((s) =>
          mark("circle", { class: `dot ${s.colour}`, cx: x.at(xs[i]), cy: y.at(s.values[i]), r: 4 }),
        ),
      mark(
        "text",
        { x: frame.width - frame.right, y: frame.top - 3, "text-anchor": "end" },
        `${xLabel} ${xs[i]} · ${told}`,
      ),
    );
  });
  chart.addEventListener("pointerleave", () => hover.replaceChildren());
  return chart;
}

function confusionMatrix({ classes, counts }) {
  const n = classes.length,
    longest = Math.max(...classes.map((c) => c.length));
  const left = 34 + Math.min(150, 7.5 * longest),
    top = 52,
    cell = Math.max(22, Math.min(46, 520 / n));
  const width = left + n * cell + 74,
    height = top + n * cell + 12;
  const name = (i) => (classes[i].length > 18 ? `${classes[i].slice(0, 17)}…` : classes[i]);
  const chart = mark("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": "confusion matrix",
  });
  chart.style.maxWidth = `${width * 1.15}px`;
  chart.append(
    mark("text", { x: left + (n * cell) / 2, y: 14, "text-anchor": "middle" }, "predicted"),
    mark(
      "text",
      { transform: `translate(12 ${top + (n * cell) / 2}) rotate(-90)`, "text-anchor": "middle" },
      "true",
    ),
    mark("text", { x: left + n * cell + 66, y: top - 10, "text-anchor": "end" }, "recall"),
  );
  counts.forEach((row, i) => {
    const total = row.reduce((a, b) => a + b, 0),
      middle = top + (i + 0.5) * cell;
    chart.append(mark("text", { x: left - 8, y: middle + 4, "text-anchor": "end" }, name(i)));
    const slanted = longest * 7.5 > cell ? `rotate(-35 ${left + (i + 0.5) * cell} ${top - 10})` : undefined;
    chart.append(
      mark(
        "text",
        {
          x: left + (i + 0.5) * cell,
          y: top - 10,
          "text-anchor": slanted ? "start" : "middle",
          transform: slanted,
        },
        name(i),
      ),
    );
    row.forEach((count, j) => {
      const share = total ? count / total : 0,
        right = i === j;
      const shade = count ? 0.1 + 0.9 * (right ? share ** 2 : Math.sqrt(share)) : 0;
      const box = mark("rect", {
        x: left + j * cell + 1,
        y: top + i * cell + 1,
        width: cell - 2,
        height: cell - 2,
        rx: 3,
      });
      box.style.fill = count ? `var(--${right ? "blue" : "orange"})` : "var(--panel)";
      box.style.fillOpacity = count ? shade : 1;
      box.append(
        mark(
          "title",
          {},
          `${count} of ${total} of true ${classes[i]} predicted as ${classes[j]} (${(100 * share).toFixed(1)} %)`,
        ),
      );
      const kind = count ? (shade > 0.55 ? "cell-text inverse" : "cell-text") : "cell-text zero";
      chart.append(box);
      if (cell >= 22)
        chart.append(
          mark(
            "text",
            { class: `${kind} hover`, x: left + (j + 0.5) * cell, y: middle },
            count ? String(count) : "·",
          ),
        );
    });
    chart.append(
      mark(
        "text",
        { x: left + n * cell + 66, y: middle + 4, "text-anchor": "end" },
        total ? `${((100 * row[i]) / total).toFixed(1)} %` : "–",
      ),
    );
  });
  return chart;
}

function predictions({ name, truth, predicted }) {
  const both = [...truth, ...predicted];
  const y = scale(both, FRAME.height - FRAME.bottom, FRAME.top, { around: 0.04 });
  const frame = { ...FRAME, left: 34 + 7 * Math.max(...y.ticks.map((t) => y.label(t).length)) };
  const x = scale(both, frame.left, frame.width - frame.right, { around: 0.04 });
  const chart = axes({
    title: `${name}: predicted and true`,
    xLabel: `true ${name}`,
    yLabel: `predicted ${name}`,
    x,
    y,
    frame,
  });
  const [low, high] = [x.back(frame.left), x.back(frame.width - frame.right)];
  chart.append(
    mark("line", { class: "reference", x1: x.at(low), y1: y.at(low), x2: x.at(high), y2: y.at(high) }),
  );
  truth.forEach((t, i) =>
    chart.append(
      mark("circle", { class: "point", cx: x.at(t).toFixed(1), cy: y.at(predicted[i]).toFixed(1), r: 3 }),
    ),
  );
  return chart;
}

function residuals({ name, truth, predicted }) {
  const rest = predicted.map((p, i) => p - truth[i]);
  const low = Math.min(...rest),
    high = Math.max(...rest),
    bins = 30;
  const counts = new Array(bins).fill(0);
  for (const r of rest) counts[Math.min(bins - 1, Math.floor(((r - low) / (high - low || 1)) * bins))] += 1;
  const x = scale(rest, FRAME.left, FRAME.width - FRAME.right);
  const y = scale([0, ...counts], FRAME.height - FRAME.bottom, FRAME.top, { whole: true });
  const chart = axes({
    title: `${name}: residuals`,
    xLabel: `predicted − true ${name}`,
    yLabel: "rows",
    x,
    y,
  });
  const step = (FRAME.width - FRAME.right - FRAME.left) / bins;
  counts.forEach((count, k) => {
    chart.append(
      mark("rect", {
        class: "bar",
        x: FRAME.left + k * step + 0.5,
        width: step - 1,
        y: y.at(count),
        height: y.at(0) - y.at(count),
      }),
    );
  });
  if (low < 0 && high > 0)
    chart.append(
      mark("line", {
        class: "reference",
        x1: x.at(0),
        x2: x.at(0),
        y1: FRAME.top,
        y2: FRAME.height - FRAME.bottom,
      }),
    );
  return chart;
}
