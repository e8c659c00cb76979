// The page: its sections in order, each shown where the data has it.

const content = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");
let graphView = null;

function section(id, title, note, ...children) {
  const head = element("h2", { id: `${id}-title` }, title);
  page.append(
    element(
      "section",
      { id, "aria-labelledby": `${id}-title` },
      head,
      note ? element("p", { class: "note" }, note) : null,
      ...children,
    ),
  );
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  if (graphView) graphView.recolour();
}

function header({ title, facts, warnings }) {
  const theme = element(
    "button",
    {
      type: "button",
      id: "theme",
      onclick: () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
    },
    "Light / dark",
  );
  page.append(element("header", {}, element("h1", {}, title), theme));
  if (facts)
    page.append(
      element(
        "dl",
        { class: "facts" },
        ...facts.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text))),
      ),
    );
  for (const { text, remedy } of warnings || []) {
    page.append(
      element(
        "div",
        { class: "warning", role: "note" },
        element("b", {}, `${text[0].toUpperCase()}${text.slice(1)}.`),
        element("span", {}, `Remedy: ${remedy}.`),
      ),
    );
  }
}

const SECTIONS = {
  curves: ({ epochs, panels }) =>
    section(
      "curves",
      "Learning curves",
      "",
      element(
        "div",
        { class: "columns" },
        ...panels.map(({ name, log, train, validation }) =>
          curves({
            title: name,
            xLabel: "epoch",
            xs: epochs,
            log,
            series: [
              { name: "train", values: train, colour: "blue" },
              { name: "validation", values: validation, colour: "orange" },
            ].filter((s) => s.values),
          }),
        ),
      ),
    ),
  confusion: (found) => section("confusion", "Confusion matrix", found.note, confusionMatrix(found)),
  regression: ({ note, targets }) =>
    section(
      "regression",
      "Predictions and residuals",
      note,
      element(
        "div",
        { class: "columns" },
        ...targets.flatMap((target) => [predictions(target), residuals(target)]),
      ),
    ),
  layers: (found) =>
    section(
      "layers",
      "Layers",
      found.note,
      element("div", { class: "columns" }, gradientFlow(found), stepSizes(found)),
      ...layersTable(found, new Set((content.warnings || []).flatMap((warning) => warning.paths))),
    ),
  graph: (found) => {
    graphView = new GraphView(found);
    const note = `${counted(found.nodes.length, "node")}. Choose or point at one to see its shape, values, gradient, rule and cost; ∂a is the derivative of the result by a.`;
    section("graph", "Computational graph", note, ...graphView.elements());
    graphView.recolour();
  },
};

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
setTheme(prefersDark.matches ? "dark" : "light");
prefersDark.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
header(content);
for (const [name, show] of Object.entries(SECTIONS)) if (content[name]) show(content[name]);
page.append(element("footer", {}, content.footer || "made by pullback"));
