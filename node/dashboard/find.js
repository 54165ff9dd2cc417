// The search field: an id or its first digits, a PeerId or its end, a name, or an entry's position.

import { get } from "./api.js";
import { h, link, shortPeer } from "./dom.js";

const LETTERS_MIN = 4;

/** What `text` may mean: [[route, words]]. */
export async function find(store, text) {
  const found = [];
  if (/^\d{1,15}$/.test(text) && Number(text) <= store.status.position) {
    found.push([`entry/${Number(text)}`, `entry ${Number(text)}`]);
  }
  for (const item of store.markets) {
    if (item.name === text || (text.length >= LETTERS_MIN && item.capability.startsWith(text))) {
      found.push([`market/${item.capability}`, `market of ${store.nameCapability(item.capability)}`]);
    }
  }
  if (text.length < LETTERS_MIN) return found;
  for (const item of store.evidence) {
    if (item.id.startsWith(text)) found.push([`evidence/${item.id}`, `offence ${item.id.slice(0, 8)}`]);
  }
  const answer = await get("/v1/history/find", { committee: store.committee, text });
  for (const { kind, id } of answer.found) {
    const short = kind === "account" ? shortPeer(id) : kind === "variable" ? id : id.slice(0, 16);
    found.push([`${kind}/${encodeURIComponent(id)}`, `${kind} ${short}`]);
  }
  return found;
}

/** The page of what was found; a single finding is opened at once. */
export async function findView(store, text) {
  const wanted = decodeURIComponent(text);
  const found = await find(store, wanted);
  if (found.length === 1) {
    location.replace(`#/${found[0][0]}`);
    return [h("h1", {}, "Found")];
  }
  return [h("h1", {}, `Found for “${wanted}”`), found.length
    ? h("ul", {}, found.map(([route, words]) => h("li", {}, link(route, words))))
    : h("p", {}, "Nothing in this committee. Give four or more first digits of an id, a PeerId or its end, a " +
      "name, or the number of an entry.")];
}
