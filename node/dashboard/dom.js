// Elements, numbers and names as the page writes them. Text is only ever set as text.

export function h(name, attributes = {}, ...children) {
  return build(document.createElement(name), attributes, children);
}

export function s(name, attributes = {}, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function build(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return element;
}

export function panel(title, ...children) {
  return h("section", { class: "panel" }, h("h2", {}, title), ...children);
}

export function wide(title, ...children) {
  const element = panel(title, ...children);
  element.classList.add("wide");
  return element;
}

/** Names and values side by side. */
export function figures(pairs) {
  return h("dl", { class: "figures" },
    pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value ?? "–"))));
}

/**
 * A table; a column is [title, row -> cell, is it a number]. `key` names a row, so that it stays the
 * same element while others come and go.
 */
export function table(caption, columns, rows, empty = "nothing yet", key = () => null) {
  if (!rows.length) return h("p", { class: "soft" }, empty);
  const kind = (column) => (column[2] ? "number" : null);
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {},
        columns.map((column) => h("th", { scope: "col", class: kind(column) }, column[0])))),
      h("tbody", {}, rows.map((row) => h("tr", { "data-key": key(row) },
        columns.map((column) => h("td", { class: kind(column) }, column[1](row) ?? (column[0] ? "–" : ""))))))));
}

export function link(route, text) {
  return h("a", { href: `#/${route}`, class: "id" }, text);
}

/** The end of a PeerId: its beginning is the same for all Ed25519 keys. */
export function shortPeer(peer) {
  return peer && peer.length > 12 ? `…${peer.slice(-6)}` : peer;
}

export function account(peer) {
  return peer ? link(`account/${peer}`, shortPeer(peer)) : null;
}

export function task(id) {
  return id ? link(`task/${id}`, id.slice(0, 8)) : null;
}

export function auction(id) {
  return id ? link(`auction/${id}`, id.slice(0, 8)) : null;
}

export function entry(position) {
  return link(`entry/${position}`, credits(position));
}

/** The words of a name_with_underscores. */
export function words(name) {
  return name?.replaceAll("_", " ");
}

export function credits(amount) {
  return amount === null || amount === undefined ? null : amount.toLocaleString("en");
}

export function score(ppm) {
  return ppm === null || ppm === undefined ? null : (ppm / 1e6).toFixed(3);
}

export function time(ms) {
  return ms ? new Date(ms).toLocaleTimeString([], { hour12: false }) : null;
}

export function duration(ms) {
  if (ms === null || ms === undefined) return null;
  return ms < 10000 ? `${ms} ms` : `${Math.round(ms / 1000)} s`;
}

const STATES = { settled: "good", sold: "good", accepted: "good", failed: "bad", byzantine: "bad", poor: "warn",
  excellent: "good", satisfactory: "good", met: "good", missed: "bad", halted: "warn", banned: "bad",
  punished: "good", seen: "warn", ordered: "warn", sealed: "" };

export function state(text) {
  return text ? h("span", { class: `tag ${STATES[text] ?? ""}` }, text) : null;
}

/** Offer bytes as a file. */
export function download(name, bytes) {
  const url = URL.createObjectURL(new Blob([bytes]));
  h("a", { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}
