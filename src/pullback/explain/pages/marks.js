"use strict";
// Elements, numbers and scales. Text is only ever set as text, never as markup.

function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function mark(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

function raised(exponent) {
  return [...String(exponent)].map((sign) => RAISED[sign]).join("");
}

function number(x, digits = 4) {
  if (x === null || x === undefined) return "–";
  const size = Math.abs(x);
  if (x !== 0 && (size < 1e-3 || size >= 1e6)) {
    const [mantissa, exponent] = x.toExponential(Math.max(0, digits - 2)).split("e");
    return `${Number(mantissa)}·10${raised(Number(exponent))}`.replace("-", "−");
  }
  const rounded = Number(x.toPrecision(digits));
  const text = size >= 10000 ? rounded.toLocaleString("en-US") : String(rounded);
  return text.replace("-", "−");
}

function counted(n, one) {
  return `${n.toLocaleString("en-US")} ${one}${n === 1 ? "" : "s"}`;
}

function scaled(x, unit) {
  for (const [factor, prefix] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (x >= factor) return `${number(x / factor, 3)} ${prefix}${unit}`;
  }
  return `${number(x, 3)} ${unit}`;
}

function ticks(low, high, about = 5) {
  const span = high - low || 1;
  const power = 10 ** Math.floor(Math.log10(span / about));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => span / s <= about);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * span; k++) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}

// Powers of ten from 10**low to 10**high; where these are few, twice and five times them, too.
function decades(low, high, about) {
  const found = [],
    step = Math.max(1, Math.ceil((high - low) / about));
  for (let k = Math.floor(low); k <= high; k++) {
    if (k % step) continue;
    found.push(10 ** k, ...(high - low < 2.5 ? [2 * 10 ** k, 5 * 10 ** k] : []));
  }
  return found.filter((v) => Math.log10(v) >= low && Math.log10(v) <= high);
}

// A scale from data to places, with its ticks; a logarithmic one takes positive numbers only.
function scale(values, from, to, { log = false, whole = false, around = 0 } = {}) {
  const known = values.filter((v) => v !== null && v !== undefined && (!log || v > 0));
  const through = log ? Math.log10 : (v) => v;
  let low = Math.min(...known.map(through)),
    high = Math.max(...known.map(through));
  if (!known.length) [low, high] = [0, 1];
  if (low === high) [low, high] = [low - (log ? 1 : 0.5), high + (log ? 1 : 0.5)];
  const margin = around * (high - low);
  [low, high] = [low - margin, high + margin];
  const at = (v) => from + ((through(v) - low) / (high - low)) * (to - from);
  const back = (place) => low + ((place - from) / (to - from)) * (high - low);
  const about = Math.max(2, Math.abs(to - from) / (to > from ? 70 : 42));
  let marks = log ? decades(low, high, about) : ticks(low, high, about);
  if (whole) marks = marks.filter(Number.isInteger);
  const label = log && high - low > 2.5 ? (v) => `10${raised(Math.round(Math.log10(v)))}` : (v) => number(v);
  return { at, back, ticks: marks, label };
}

function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
