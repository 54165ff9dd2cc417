// Facts of the log in words, with links to what they are about.

import { account, auction, credits, entry, h, link, score, state, table, task, time, words } from "./dom.js";

const PEERS = ["winner", "executor", "bidder", "party", "agent", "account", "offender", "holder", "member",
  "requester", "opener", "sponsor", "to"];
const AMOUNTS = ["bid", "price", "former", "amount", "budget", "reward", "slashed"];
const TEXTS = ["name", "outcome", "reason", "delivery"];

/** What a fact is about, as nodes. */
export function about(fact, store) {
  const parts = [];
  if (fact.task) parts.push("task ", task(fact.task), " ");
  if (fact.auction) parts.push("auction ", auction(fact.auction), " ");
  if (fact.capability) {
    parts.push(link(`market/${fact.capability}`, store.nameCapability(fact.capability)), " ");
  }
  for (const name of PEERS) {
    if (typeof fact[name] === "string") parts.push(`${name} `, account(fact[name]), " ");
  }
  for (const name of AMOUNTS) {
    if (typeof fact[name] === "number") parts.push(`${name} ${credits(fact[name])} `);
  }
  if (typeof fact.objective_ppm === "number") parts.push(`objective ${score(fact.objective_ppm)} `);
  if (typeof fact.value === "number") parts.push(`value ${fact.value} `);
  for (const name of TEXTS) if (fact[name]) parts.push(`${name} ${words(String(fact[name]))} `);
  if (fact.grade) parts.push(state(fact.grade));
  return parts.length ? parts : payments(fact);
}

/** Who pays, of a fact that says nothing else. */
function payments(fact) {
  return fact.moves.flatMap((move) => [`${credits(move.amount)} from `,
    move.source.startsWith("12D3") ? account(move.source) : move.source,
    ` ${move.source_bucket} to ${move.target_bucket} `]);
}

/** A table of facts: `items` have position, time_ms and fact. */
export function factTable(caption, items, store, empty = "nothing yet") {
  return table(caption, [
    ["entry", (row) => entry(row.position), true], ["time", (row) => time(row.time_ms)],
    ["fact", (row) => words(row.fact.kind)], ["about", (row) => about(row.fact, store)],
  ], items, empty, (row) => `${row.position}.${row.fact.kind}.${row.fact.task ?? row.fact.account ?? row.fact.agent ?? ""}`);
}

/** The way of one thing: its facts in order. */
export function timeline(items, store) {
  if (!items.length) return h("p", { class: "soft" }, "This node's ledger holds no facts about it any more.");
  return h("ol", { class: "timeline" }, items.map((item) => h("li", {},
    h("b", {}, words(item.fact.kind)), " ", h("span", { class: "soft" }, `${time(item.time_ms)}, entry `),
    entry(item.position), " ", about(item.fact, store))));
}
