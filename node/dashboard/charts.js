// Line charts, as SVG that also says in words what it shows.

import { h, s, shortPeer } from "./dom.js";

const WIDTH = 640;
const HEIGHT = 220;
const LEFT = 64;
const BOTTOM = 24;
const SERIES_MAX = 8;
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

/**
 * `series`: Map of name -> [[time_ms, value], …], each value until the next. `format` writes a value,
 * `name` a series; the last values hold until `now_ms`.
 */
export function lineChart(title, series, format, { name = (text) => text, now_ms = 0 } = {}) {
  const shown = [...series].filter(([, points]) => points.length).slice(-SERIES_MAX);
  if (!shown.length) return h("p", { class: "soft" }, "nothing yet");
  const all = shown.flatMap(([, points]) => points);
  const [start, end] = bounds([...all.map((point) => point[0]), Math.max(now_ms, all[0][0])]);
  const [low, high] = bounds([0, ...all.map((point) => point[1])]);
  const x = (value) => LEFT + ((value - start) / (end - start)) * (WIDTH - LEFT - 8);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - 10);
  const chart = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": describe(title, shown, format, name) });
  for (const share of [0, 0.5, 1]) {
    const value = low + (high - low) * share;
    chart.append(
      s("line", { x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value), stroke: "var(--line)" }),
      s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)));
  }
  for (const [place, anchor] of [[start, "start"], [end, "end"]]) {
    chart.append(s("text", { x: x(place), y: HEIGHT - 6, "text-anchor": anchor },
      new Date(place).toLocaleTimeString([], { hour12: false })));
  }
  shown.forEach(([, points], index) => {
    const path = points.map((point, at) => {
      const place = `${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`;
      return at ? `H${x(point[0]).toFixed(1)}V${y(point[1]).toFixed(1)}` : `M${place}`;
    });
    path.push(`H${x(end)}`);
    chart.append(s("path", { d: path.join(""), fill: "none", "stroke-width": 2, ...stroke(index) }));
  });
  return h("figure", {}, chart, legend(shown, name));
}

function bounds(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return [low, high > low ? high : low + 1];
}

function stroke(index) {
  return { stroke: `var(--series-${index + 1})`, "stroke-dasharray": DASHES[index % DASHES.length] };
}

function legend(shown, name) {
  return h("ul", { class: "legend" }, shown.map(([label], index) => h("li", {},
    s("svg", { viewBox: "0 0 20 10", "aria-hidden": "true" },
      s("line", { x1: 0, x2: 20, y1: 5, y2: 5, "stroke-width": 3, ...stroke(index) })),
    name(label))));
}

function describe(title, shown, format, name) {
  const parts = shown.map(([label, points]) => `${name(label)} ${format(points.at(-1)[1])}`);
  return `${title}, now: ${parts.join(", ")}`;
}
