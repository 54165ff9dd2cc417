// Line charts and the picture of the network, as SVG that also says in words what it shows.

import { h, s, shortPeer } from "./dom.js";

const WIDTH = 640;
const HEIGHT = 220;
const LEFT = 64;
const BOTTOM = 24;
const SERIES_MAX = 8;
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

/** `series`: Map of name -> [[time_ms, value], …]. `format` writes a value, `name` a series. */
export function lineChart(title, series, format, name = (text) => text) {
  const shown = [...series].filter(([, points]) => points.length).slice(-SERIES_MAX);
  if (!shown.length) return h("p", { class: "soft" }, "nothing yet");
  const all = shown.flatMap(([, points]) => points);
  const [start, end] = bounds(all.map((point) => point[0]));
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
  return h("figure", { style: "margin:0" }, chart, legend(shown, name));
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

const GRAPH = 420;

/** Members in a ring, this node's links as lines, other peers outside. */
export function networkGraph(status, members, peers) {
  const others = peers.filter((peer) => !members.some((member) => member.peer_id === peer.peer_id));
  const places = new Map();
  ring(members.map((member) => member.peer_id), 120, places);
  ring(others.map((peer) => peer.peer_id), 180, places);
  if (!places.has(status.peer_id)) places.set(status.peer_id, [GRAPH / 2, GRAPH / 2]);
  const me = places.get(status.peer_id);
  const graph = s("svg", { viewBox: `0 0 ${GRAPH} ${GRAPH}`, role: "img",
    "aria-label": describeNetwork(status, members, peers) });
  for (const peer of peers) {
    const [x2, y2] = places.get(peer.peer_id);
    graph.append(s("line", { x1: me[0], y1: me[1], x2, y2, "stroke-width": 1.5,
      stroke: peer.connected ? "var(--good)" : "var(--bad)",
      "stroke-dasharray": peer.connected ? "" : "4 4" }));
    if (peer.connected && peer.rtt_ms !== null) {
      graph.append(s("text", { x: (me[0] + x2) / 2 + 4, y: (me[1] + y2) / 2 - 4 },
        `${peer.rtt_ms.toFixed(1)} ms`));
    }
  }
  for (const [peer, [x, y]] of places) {
    const isMember = members.some((member) => member.peer_id === peer);
    const label = [shortPeer(peer), peer === status.primary ? "leader" : "",
      peer === status.peer_id ? "this node" : ""].filter(Boolean).join(", ");
    graph.append(s("a", { href: `#/account/${peer}`, "aria-label": label },
      s("circle", { cx: x, cy: y, r: isMember ? 16 : 10, "stroke-width": 3,
        fill: peer === status.primary ? "var(--accent)" : "var(--panel)",
        stroke: peer === status.peer_id ? "var(--text)" : "var(--accent)" }),
      s("text", { x, y: y + 32, "text-anchor": "middle" }, label)));
  }
  return graph;
}

function ring(names, radius, places) {
  names.forEach((name, index) => {
    const angle = (2 * Math.PI * index) / names.length - Math.PI / 2;
    const middle = GRAPH / 2;
    places.set(name, [middle + radius * Math.cos(angle), middle - 10 + radius * Math.sin(angle)]);
  });
}

function describeNetwork(status, members, peers) {
  const up = peers.filter((peer) => peer.connected).length;
  return `${members.length} members, the leader of view ${status.view} is ` +
    `${shortPeer(status.primary)}, ${up} of ${peers.length} links of this node are up`;
}
