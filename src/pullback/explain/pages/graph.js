// The interactive graph: pan, zoom, fold by layer, and what is known of each box.

const KEYS = "arrows move, Enter folds, + and − zoom, 0 fits";
const READABLE = 0.6; // the scale at which text still can be read

class GraphView {
  constructor(graph) {
    this.graph = graph;
    this.mode = "forward";
    this.folded = new Set();
    this.canvas = element("canvas", {
      tabindex: 0,
      role: "application",
      "aria-label": `computational graph of ${counted(graph.nodes.length, "node")}: ${KEYS}`,
      "aria-describedby": "inspector",
    });
    this.context = this.canvas.getContext("2d");
    this.size = measured(this.context, graph);
    this.inspector = element("div", { class: "inspector", id: "inspector", "aria-live": "polite" });
    this.legend = element("div", { class: "legend" });
    this.hasGradient = graph.nodes.some((node) => node.gradient);
    this.users = graph.nodes.map(() => []);
    graph.nodes.forEach((node, n) => node.inputs.forEach((source) => this.users[source].push(n)));
    this.flow = flowOf(graph);
    this.foldToFit();
    this.arrange();
    this.fitHeight();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.canvas.view = this;
  }

  elements() {
    return [this.tools(), element("div", { class: "graph" }, this.canvas, this.inspector, this.legend)];
  }

  tools() {
    const tool = (label, action, name) =>
      element("button", { type: "button", onclick: action, "aria-label": name || label }, label);
    const choice = element("fieldset", { class: "choice", role: "radiogroup", "aria-label": "direction" });
    for (const [mode, label] of [
      ["forward", "Forward values"],
      ["gradient", "Gradient"],
    ]) {
      const input = element("input", {
        type: "radio",
        name: "mode",
        id: `mode-${mode}`,
        onchange: () => this.setMode(mode),
      });
      input.checked = mode === this.mode;
      choice.append(input, element("label", { for: `mode-${mode}` }, label));
    }
    const parts = this.graph.scopes.length
      ? [tool("Fold all", () => this.foldAll(true)), tool("Unfold all", () => this.foldAll(false))]
      : [];
    const hint = element("span", { class: "keys" });
    for (const [key, does] of [
      ["↑ ↓ ← →", "move"],
      ["Enter", "fold"],
      ["+ −", "zoom"],
      ["0", "fit"],
    ])
      hint.append(element("kbd", {}, key), ` ${does}  `);
    return element(
      "div",
      { class: "tools" },
      this.hasGradient ? choice : null,
      ...parts,
      tool("+", () => this.zoom(1.25), "zoom in"),
      tool("−", () => this.zoom(0.8), "zoom out"),
      tool("Fit", () => this.fit()),
      hint,
    );
  }

  // Folds the deepest scopes first, until all that is seen can be read.
  foldToFit() {
    const { scopes, nodes } = this.graph;
    const depth = (s) => (s < 0 ? 0 : 1 + depth(scopes[s].parent));
    const depths = scopes.map((_, s) => depth(s));
    for (let level = Math.max(0, ...depths); level > 0; level--) {
      if (nodes.filter((node) => !this.isInFolded(node.scope)).length <= 120) {
        const { width, height } = layoutGraph(this.graph, this.folded, this.size);
        if (width * READABLE <= 1100 && height * READABLE <= 600) return;
      }
      depths.forEach((d, s) => {
        if (d === level && !this.isAlone(s)) this.folded.add(s);
      });
    }
  }

  // The outermost module beside a loss: folding it would leave nothing to see.
  isAlone(s) {
    return (
      this.graph.scopes[s].parent < 0 &&
      this.graph.scopes.filter((scope) => scope.parent < 0).length <= 2 &&
      this.graph.scopes.some((scope) => scope.parent === s)
    );
  }

  isInFolded(s) {
    return s >= 0 && (this.folded.has(s) || this.isInFolded(this.graph.scopes[s].parent));
  }

  within(box) {
    if (box.node !== undefined) return [box.node];
    if (!box.nodes) {
      const inside = (s) => s >= 0 && (s === box.scope || inside(this.graph.scopes[s].parent));
      box.nodes = this.graph.nodes.map((_, n) => n).filter((n) => inside(this.graph.nodes[n].scope));
    }
    return box.nodes;
  }

  arrange(keep) {
    const before = keep && this.layout && this.layout.boxes.find((b) => b.id === keep);
    this.layout = layoutGraph(this.graph, this.folded, this.size);
    this.layout.edges.forEach((edge) => {
      edge.wide = this.flow.widths(edge);
    });
    for (const box of this.layout.boxes) {
      box.bad =
        !box.open &&
        this.within(box).some((n) => {
          const { value, gradient } = this.graph.nodes[n];
          return (value && value.bad) || (gradient && gradient.bad);
        });
    }
    this.hovered = null;
    this.chosen = keep ? this.layout.boxes.find((b) => b.id === keep) : null;
    this.canvas.dataset.boxes = this.layout.boxes.filter((b) => !b.open).length;
    if (before && this.chosen) {
      // it stays where it was on the screen
      const { scale } = this.view;
      this.view.x += (before.x + before.w / 2 - this.chosen.x - this.chosen.w / 2) * scale;
      this.view.y += (before.y - this.chosen.y) * scale;
    }
    this.describe();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1,
      { clientWidth: w, clientHeight: h } = this.canvas;
    if (!w || !h) return;
    [this.canvas.width, this.canvas.height] = [w * ratio, h * ratio];
    if (!this.view) this.fit(READABLE);
    this.redraw();
  }

  // The canvas is as high as the graph needs when it is as wide as the page.
  fitHeight() {
    const needed = (this.layout.height * 1100) / Math.max(this.layout.width, 700) + 160;
    this.canvas.style.height = `${Math.min(680, Math.max(440, needed))}px`;
  }

  // All of it, or from a `least` scale on as much as there is room for, from its beginning.
  fit(least = 0) {
    const { clientWidth: w, clientHeight: h } = this.canvas,
      margin = 36;
    const whole = Math.min((w - 2 * margin) / this.layout.width, (h - 2 * margin) / this.layout.height, 1.15);
    const scale = Math.max(whole, least);
    const x = this.layout.width * scale < w - 2 * margin ? (w - this.layout.width * scale) / 2 : margin;
    this.view = { scale, x, y: (h - this.layout.height * scale) / 2 };
    this.redraw();
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const scale = Math.min(4, Math.max(0.005, this.view.scale * factor));
    factor = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * factor, y: y - (y - this.view.y) * factor };
    this.redraw();
  }

  redraw() {
    if (this.asked || !this.view) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  draw() {
    this.colours = this.colours || palette();
    drawGraph(this.context, {
      ...this,
      shade: (box) => this.flow.shade(this.within(box)),
      width: this.canvas.clientWidth,
      height: this.canvas.clientHeight,
    });
  }

  recolour() {
    this.colours = null;
    this.tellLegend();
    this.redraw();
  }

  setMode(mode) {
    this.mode = mode;
    this.recolour();
    this.describe();
  }

  tellLegend() {
    const [low, high] = this.flow.norms;
    if (this.mode !== "gradient" || !Number.isFinite(low)) {
      this.legend.replaceChildren("thicker edges carry more bytes");
      return;
    }
    const bar = element("i");
    bar.style.background = `linear-gradient(to right, ${palette().ramp.join(", ")})`;
    this.legend.replaceChildren(`‖gradient‖ ${number(10 ** low, 2)}`, bar, number(10 ** high, 2));
  }

  at(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = (event.clientX - bounds.left - this.view.x) / this.view.scale,
      y = (event.clientY - bounds.top - this.view.y) / this.view.scale;
    const under = this.layout.boxes.filter(
      (b) => x >= b.x && x <= b.x + b.w && y >= b.y && y <= b.y + b.h && (!b.open || y < b.y + SPACE.heading),
    );
    return under.reduce((best, b) => (!best || b.depth >= best.depth ? b : best), null);
  }

  listen() {
    const { canvas } = this;
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      held = { x: event.clientX, y: event.clientY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (held) {
        held.moved = held.moved || Math.hypot(event.clientX - held.x, event.clientY - held.y) > 4;
        if (!held.moved) return;
        this.view.x += event.clientX - held.x;
        this.view.y += event.clientY - held.y;
        [held.x, held.y] = [event.clientX, event.clientY];
        this.redraw();
        return;
      }
      const box = this.at(event);
      if (box === this.hovered) return;
      this.hovered = box;
      this.describe();
      this.redraw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (held && !held.moved) this.choose(this.at(event));
      held = null;
    });
    canvas.addEventListener("pointerleave", () => {
      this.hovered = null;
      this.describe();
      this.redraw();
    });
    canvas.addEventListener("dblclick", (event) => this.toggle(this.at(event)));
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (document.activeElement !== canvas && !event.ctrlKey) return; // the page scrolls past it
        event.preventDefault();
        const bounds = canvas.getBoundingClientRect();
        this.zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - bounds.left, event.clientY - bounds.top);
      },
      { passive: false },
    );
    canvas.addEventListener("focus", () => {
      // by the keyboard; the pointer chooses for itself
      if (!this.chosen && canvas.matches(":focus-visible"))
        this.choose(this.layout.boxes.find((b) => !b.open));
    });
    canvas.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const actions = {
      ArrowDown: () => this.step(0, 1),
      ArrowUp: () => this.step(0, -1),
      ArrowLeft: () => this.step(-1, 0),
      ArrowRight: () => this.step(1, 0),
      Enter: () => this.toggle(this.chosen),
      " ": () => this.toggle(this.chosen),
      Escape: () => this.choose(null),
      "+": () => this.zoom(1.25),
      "=": () => this.zoom(1.25),
      "-": () => this.zoom(0.8),
      0: () => this.fit(),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  // The nearest box in a direction; what lies straight ahead counts as nearer.
  step(dx, dy) {
    if (!this.chosen) return this.choose(this.layout.boxes.find((b) => !b.open));
    const middle = (b) => [b.x + b.w / 2, b.open ? b.y + SPACE.heading / 2 : b.y + b.h / 2];
    const [x, y] = middle(this.chosen);
    let best = null,
      least = Infinity;
    for (const box of this.layout.boxes) {
      const [u, v] = middle(box),
        ahead = (u - x) * dx + (v - y) * dy,
        aside = Math.abs((u - x) * dy) + Math.abs((v - y) * dx);
      const far = ahead + (dx ? 0.6 : 3) * aside;
      if (box !== this.chosen && ahead > 6 && far < least) [best, least] = [box, far];
    }
    if (best) this.choose(best);
  }

  choose(box) {
    this.chosen = box;
    if (box) this.reveal(box);
    this.describe();
    this.redraw();
  }

  reveal(box) {
    const { scale } = this.view,
      margin = 48,
      { clientWidth: w, clientHeight: h } = this.canvas;
    const left = box.x * scale + this.view.x,
      top = box.y * scale + this.view.y;
    const height = box.open ? SPACE.heading * scale : box.h * scale;
    if (left < margin) this.view.x += margin - left;
    if (left + box.w * scale > w - margin && !box.open) this.view.x -= left + box.w * scale - w + margin;
    if (top < margin) this.view.y += margin - top;
    if (top + height > h - margin) this.view.y -= top + height - h + margin;
  }

  // A folded layer opens; an open one, or the one around a node, folds.
  toggle(box) {
    if (!box) return;
    const scope = box.scope !== undefined ? box.scope : this.graph.nodes[box.node].scope;
    if (scope < 0) return;
    if (this.folded.has(scope)) this.folded.delete(scope);
    else this.folded.add(scope);
    this.arrange(`s${scope}`);
    this.reveal(this.chosen);
    this.redraw();
  }

  foldAll(fold) {
    this.folded = new Set(fold ? this.graph.scopes.map((_, s) => s).filter((s) => !this.isAlone(s)) : []);
    this.arrange();
    this.fit(READABLE);
  }

  describe() {
    const box = this.hovered || this.chosen;
    this.canvas.dataset.chosen = this.chosen ? this.chosen.id : "";
    if (box && this.view) {
      // on the side where it covers less
      const middle = (box.x + Math.min(box.w, 120) / 2) * this.view.scale + this.view.x;
      this.inspector.classList.toggle("left", middle > 0.55 * this.canvas.clientWidth);
    }
    if (!box) this.inspector.replaceChildren();
    else
      this.inspector.replaceChildren(
        ...(box.node !== undefined
          ? nodeFacts(this.graph, box.node)
          : scopeFacts(this.graph, box, this.within(box), this.users)),
      );
  }
}
