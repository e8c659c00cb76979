// What is known of a node, or of a layer, as the inspector tells it.

function definitions(rows) {
  return element(
    "dl",
    {},
    ...rows
      .filter(([, text]) => text)
      .flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, ...[text].flat())]),
  );
}

function extent(found, norm) {
  if (!found) return "";
  const bad = found.bad ? `${counted(found.bad, "entry").replace("entrys", "entries")} infinite or NaN` : "";
  if (found.low === null) return bad;
  const range = found.low === found.high ? number(found.low) : `${number(found.low)} … ${number(found.high)}`;
  const rest = norm
    ? `, norm ${number(found.norm)}`
    : found.low === found.high
      ? ""
      : `, mean ${number(found.mean)}`;
  return range + rest + (bad ? `; ${bad}` : "");
}

// Within its layer a weight goes by its last name.
function inLayer(graph, node, scope, text) {
  for (const { name } of node.inputs.map((i) => graph.nodes[i])) {
    const [, own] = scope && scope.path ? name.split(`.${scope.path}.`) : [];
    if (own) text = text.replaceAll(name, own);
  }
  return text;
}

function nodeFacts(graph, n) {
  const node = graph.nodes[n];
  const scope = node.scope < 0 ? null : graph.scopes[node.scope];
  const short = (text) => inLayer(graph, node, scope, text);
  const rules = node.rules.filter(Boolean).map((rule) => element("code", { class: "rule" }, short(rule)));
  return [
    element("h3", { class: "mono" }, node.text ? `${node.name || "value"} = ${short(node.text)}` : node.name),
    definitions([
      ["shape", node.aval],
      ["value", extent(node.value)],
      ["gradient", extent(node.gradient, true)],
      ["rule", rules.length ? rules : ""],
      ["undefined", node.convention],
      [
        "cost",
        node.kind === "operation"
          ? [node.flops ? `${scaled(node.flops, "FLOP")}, ` : "", scaled(node.bytes, "B")].join("")
          : scaled(node.bytes, "B"),
      ],
      ["layer", scope ? `${scope.path || "model"} (${scope.kind})` : ""],
    ]),
  ];
}

function scopeFacts(graph, box, inside, users) {
  const { path, kind } = graph.scopes[box.scope],
    nodes = inside.map((n) => graph.nodes[n]);
  const own = nodes.filter((node) => node.kind === "argument"),
    within = new Set(inside);
  const flops = nodes.reduce((sum, node) => sum + (node.flops || 0), 0),
    bytes = nodes.reduce((sum, node) => sum + node.bytes, 0);
  const results = inside
    .filter((n) => graph.nodes[n].result || users[n].some((user) => !within.has(user)))
    .map((n) => graph.nodes[n]);
  return [
    element("h3", { class: "mono" }, `${path || "model"}  ${kind}`),
    definitions([
      ["holds", `${counted(nodes.length - own.length, "operation")}, ${counted(own.length, "argument")}`],
      ["gives", results.slice(0, 3).map((node) => element("span", { class: "rule" }, node.aval))],
      ["value", results.length ? extent(results[0].value) : ""],
      ["gradient", results.length ? extent(results[0].gradient, true) : ""],
      ["cost", `${scaled(flops, "FLOP")}, ${scaled(bytes, "B")}`],
      ["", `${box.open ? "Enter folds it" : "Enter opens it"}`],
    ]),
  ];
}
