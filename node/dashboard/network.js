// The picture of the network, which also says in words what it shows.

import { h, s, shortPeer } from "./dom.js";

const WIDTH = 520;
const HEIGHT = 400;
const MIDDLE = [WIDTH / 2, HEIGHT / 2];
const INNER = 112;
const OUTER = 162;
const SERIES = 8;

/**
 * Members of the committee in a ring, other peers around it, links of this node as lines. Rings
 * around a peer are the committees that it is a member of.
 */
export function networkGraph(store) {
  const { status, peers } = store;
  const standing = store.committees.filter((item) => item.state === "standing");
  const members = store.members.members.map((member) => member.peer_id);
  const known = new Set([...standing.flatMap((item) => item.members),
    ...peers.map((peer) => peer.peer_id), status.peer_id]);
  const others = [...known].filter((peer) => !members.includes(peer));
  const places = new Map([...ring(members, others.length ? INNER * 0.85 : INNER),
    ...ring(others, OUTER)]);
  const graph = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group",
    "aria-label": "Peers and links" });
  graph.append(...peers.filter((peer) => peer.peer_id !== status.peer_id)
    .map((peer) => line(places.get(status.peer_id), places.get(peer.peer_id), peer)));
  for (const [peer, place] of places) {
    const its = standing.filter((item) => item.members.includes(peer));
    graph.append(node(peer, place, members.includes(peer), its, standing, status));
  }
  return h("figure", {}, graph, h("figcaption", {}, describe(store)),
    standing.length > 1 ? legend(standing) : null);
}

function ring(names, radius) {
  return names.map((name, index) => {
    const angle = (2 * Math.PI * index) / names.length - Math.PI / 2;
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    return [name, { x: MIDDLE[0] + radius * 1.25 * x, y: MIDDLE[1] + radius * y, to: [x, y] }];
  });
}

function line(from, to, peer) {
  const label = peer.connected && peer.rtt_ms !== null ? `${peer.rtt_ms.toFixed(1)} ms` : null;
  return s("g", {},
    s("line", { x1: from.x, y1: from.y, x2: to.x, y2: to.y, "stroke-width": 1.5,
      stroke: peer.connected ? "var(--good)" : "var(--bad)",
      "stroke-dasharray": peer.connected ? null : "4 4" }),
    label ? s("text", { class: "halo", x: (from.x * 2 + to.x * 3) / 5, y: (from.y * 2 + to.y * 3) / 5 + 4,
      "text-anchor": "middle" }, label) : null);
}

function node(peer, place, isMember, its, standing, status) {
  const roles = [peer === status.primary ? "leader" : "", peer === status.peer_id ? "this node" : ""]
    .filter(Boolean);
  const [dx, dy] = place.to;
  const radius = isMember ? 15 : 9;
  const away = radius + 5 + (standing.length > 1 ? 4 * its.length : 0);
  const anchor = Math.abs(dx) < 0.3 ? "middle" : dx > 0 ? "start" : "end";
  const text = (words, shift) => s("text", { class: "halo", x: place.x + dx * away, "text-anchor": anchor,
    y: place.y + dy * away + (dy > 0.3 ? 12 : dy < -0.3 ? -14 : -2) + shift }, words);
  return s("a", { href: `#/account/${peer}`,
    "aria-label": [shortPeer(peer), ...roles, ...its.map((item) => `member of ${item.name}`)].join(", ") },
  standing.length > 1 ? its.map((item, index) => s("circle", { cx: place.x, cy: place.y,
    r: radius + 4 + 4 * index, fill: "none", "stroke-width": 2.5, stroke: color(standing, item) })) : null,
  s("circle", { cx: place.x, cy: place.y, r: radius, "stroke-width": 3,
    fill: peer === status.primary ? "var(--accent)" : "var(--panel)",
    stroke: peer === status.peer_id ? "var(--text)" : "var(--accent)" }),
  text(shortPeer(peer), 0), roles.length ? text(roles.join(", "), 14) : null);
}

function color(standing, item) {
  return `var(--series-${(standing.indexOf(item) % SERIES) + 1})`;
}

function legend(standing) {
  return h("ul", { class: "legend" }, standing.map((item) => h("li", {},
    s("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" },
      s("circle", { cx: 10, cy: 10, r: 7, fill: "none", "stroke-width": 4, stroke: color(standing, item) })),
    `${item.name}: ${item.members.length} members`)));
}

function describe({ status, members, peers }) {
  const up = peers.filter((peer) => peer.connected).length;
  return `View ${status.view} of epoch ${status.epoch}: ${shortPeer(status.primary)} leads ` +
    `${members.n} members. ${up} of ${peers.length} links of this node are up.`;
}
