// What flows along the edges, as widths, and how large gradients are, as shades; both logarithmic.

const SHADES = 5;

function flowOf(graph) {
  const range = (numbers) => {
    const known = numbers.filter((x) => x > 0).map(Math.log10);
    return [Math.min(...known), Math.max(...known)];
  };
  const share = (x, [low, high]) => (high > low ? (x - low) / (high - low) : 1);
  const halves = (width) => Math.round(2 * width) / 2;
  const flows = range(graph.nodes.flatMap((node) => node.flows));
  const norms = range(graph.nodes.map((node) => node.gradient && node.gradient.norm));
  const largest = Math.log10(Math.max(10, ...graph.nodes.map((node) => node.bytes)));
  return {
    norms,
    // Forward by the bytes of what is carried, back by the norm of the gradient.
    widths({ parts }) {
      const bytes = Math.max(...parts.map(([n, k]) => graph.nodes[graph.nodes[n].inputs[k]].bytes));
      const flow = Math.log10(Math.hypot(...parts.map(([n, k]) => graph.nodes[n].flows[k] || 0)));
      return {
        forward: halves(0.8 + (2.2 * Math.log10(Math.max(1, bytes))) / largest),
        gradient: Number.isFinite(flow) ? halves(0.8 + 3.4 * share(flow, flows)) : 0.5,
      };
    },
    // The shade, 0 to SHADES - 1, of the largest gradient among nodes; null where none has one.
    shade(nodes) {
      const known = nodes.map((n) => graph.nodes[n].gradient).filter((g) => g && g.norm > 0);
      if (!known.length) return null;
      const most = Math.log10(Math.max(...known.map((g) => g.norm)));
      return Math.min(SHADES - 1, Math.floor(SHADES * share(most, norms)));
    },
  };
}
