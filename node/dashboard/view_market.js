// The market: prices, who offers what, auctions and variables; and one market in detail.

import { get } from "./api.js";
import { lineChart } from "./charts.js";
import { account, auction, credits, entry, figures, h, link, panel, score, state, table, task, time, wide,
  words } from "./dom.js";
import { factTable, timeline } from "./facts.js";

const AWARDS_SHOWN = 20;
const HISTORY = 200;
const whole = (value) => credits(Math.round(value));

export function market(store) {
  const open = store.tasks.filter((item) => ["opened", "bidding"].includes(item.state));
  const awards = store.recent.filter((item) => item.fact.kind === "awarded").slice(0, AWARDS_SHOWN);
  const now = { name: (id) => store.nameCapability(id), now_ms: store.status.agreed_time_ms };
  return [h("h1", {}, "Market"), h("div", { class: "grid" },
    panel("Prices paid", lineChart("Price of awarded tasks by capability", store.prices, whole, now)),
    panel("Posted prices", lineChart("Posted price by capability", store.posted, whole, now)),
    wide("Capabilities", marketTable(store)),
    wide("Auctions", auctionTable(store)),
    wide("Variables", variableTable(store)),
    panel("Under auction", table("Tasks that take bids", [
      ["task", (row) => task(row.id)], ["state", (row) => state(row.state)],
      ["budget", (row) => credits(row.budget), true], ["round", (row) => row.round, true],
    ], open, "no task waits for bids", (row) => row.id)),
    panel("Awards", table("Newest awards", [
      ["task", (row) => task(row.fact.task)], ["winner", (row) => account(row.fact.winner)],
      ["bid", (row) => credits(row.fact.bid), true], ["paid", (row) => credits(row.fact.price), true],
      ["time", (row) => time(row.time_ms)],
    ], awards, "nothing was awarded yet", (row) => row.fact.task)))];
}

function marketTable(store) {
  const offers = new Map(store.capabilities.map((item) => [item.id, item]));
  const now = store.status.agreed_time_ms;
  return table("What is offered, by whom, and at what price", [
    ["capability", (row) => link(`market/${row.capability}`, store.nameCapability(row.capability))],
    ["posted price", (row) => credits(row.price), true], ["mean of awards", (row) => credits(row.mean), true],
    ["awards", (row) => credits(row.awards), true],
    ["", (row) => (row.halted_until_ms > now ? state("halted") : null)],
    ["agents", (row) => (offers.get(row.capability)?.agents ?? []).flatMap((peer) => [account(peer), " "])],
  ], store.markets, "nobody offers anything", (row) => row.capability);
}

function auctionTable(store) {
  return table("Goods and services that anybody buys or sells, the last opened first", [
    ["auction", (row) => auction(row.id)],
    ["what", (row) => (row.lots > 1 ? `${row.title} and ${row.lots - 1} more` : row.title)],
    ["kind", (row) => `${words(row.kind)}, ${row.direction}`], ["state", (row) => state(row.state)],
    ["opener", (row) => account(row.opener)], ["bids", (row) => row.bids, true],
    ["price", (row) => credits(row.price), true],
    ["ends", (row) => time(row.ended_ms ?? row.deadline_ms)],
  ], store.auctions, "nobody has opened one: econode auction open", (row) => row.id);
}

function variableTable(store) {
  return table("Values that whoever wins the right to it may set", [
    ["variable", (row) => link(`variable/${encodeURIComponent(row.name)}`, row.name)],
    ["state", (row) => state(words(row.state))], ["value", (row) => row.value, true],
    ["term", (row) => `${row.round} of ${row.rounds}`], ["holder", (row) => account(row.holder)],
    ["sponsor", (row) => account(row.sponsor)], ["pool", (row) => credits(row.pool), true],
    ["right sold in", (row) => auction(row.auction)], ["until", (row) => time(row.deadline_ms)],
  ], store.variables, "none is under way: econode variable open", (row) => row.id);
}

/** The market of one capability. */
export async function marketDetail(store, id) {
  const at = { committee: store.committee };
  const item = store.markets.find((each) => each.capability === id);
  if (!item) return [h("h1", {}, "No such market"), h("p", {}, link("market", "All markets"))];
  const [history, story] = await Promise.all([
    get("/v1/market/prices/history", { ...at, capability: id, limit: HISTORY }),
    get(`/v1/history/about/${id}`, { ...at, limit: HISTORY }),
  ]);
  const points = history.points.toReversed();
  const series = new Map([["posted", points.map((point) => [point.time_ms, point.price])],
    ["paid", store.prices.get(id) ?? []]]);
  const use = new Map([["utilisation", points.map((point) => [point.time_ms, point.utilisation_ppm / 1e4])]]);
  const now = { now_ms: store.status.agreed_time_ms };
  const halted = item.halted_until_ms > store.status.agreed_time_ms;
  return [h("h1", {}, `Market of ${store.nameCapability(id)}`), h("div", { class: "grid" },
    panel("Now", figures([["posted price", credits(item.price)], ["mean of awards", credits(item.mean)],
      ["awards", item.awards], ["agents", item.agents],
      ["halt", halted ? `until ${time(item.halted_until_ms)}` : "none"]]), h("p", { class: "id soft" }, id)),
    panel("Offered by", h("p", {}, (store.capabilities.find((each) => each.id === id)?.agents ?? [])
      .flatMap((peer) => [account(peer), " "]))),
    panel("Prices", lineChart("Prices over time", series, whole, now)),
    panel("Utilisation", lineChart("Share of the agents' capacity in use", use,
      (value) => `${Math.round(value)} %`, now)),
    wide("Halts", haltTable(store.halts.filter((each) => each.capability === id), store)),
    wide("What happened", factTable("Facts about this market", story.facts.toReversed(), store)))];
}

/** Halts, each with the numbers behind it. */
export function haltTable(halts, store) {
  return table("Markets that stood still since a price was far from its mean", [
    ["capability", (row) => link(`market/${row.capability}`, store.nameCapability(row.capability))],
    ["price", (row) => credits(row.price), true], ["mean", (row) => credits(row.mean), true],
    ["of awards", (row) => row.awards, true], ["since", (row) => time(row.since_ms)],
    ["until", (row) => time(row.deadline_ms)], ["", (row) => (row.is_over ? "over" : state("halted"))],
    ["entry", (row) => entry(row.position), true],
  ], halts, "no market was halted", (row) => `${row.capability}${row.position}`);
}

export async function variableDetail(store, text) {
  const query = { committee: store.committee, name: decodeURIComponent(text) };
  const [found, history] = await Promise.all([
    get("/v1/variables/show", query), get("/v1/variables/history", query)]);
  const { summary } = found;
  const said = (kind, field) => history.events.filter((item) => item.fact.kind === kind &&
    typeof item.fact[field] === "number").map((item) => [item.time_ms, item.fact[field]]);
  return [h("h1", {}, `Variable ${summary.name}`), h("div", { class: "grid" },
    panel("Now", figures([["value", summary.value], ["state", state(words(summary.state))],
      ["term", `${summary.round} of ${summary.rounds}`], ["holder", account(summary.holder)],
      ["sponsor", account(summary.sponsor)], ["pool", credits(summary.pool)],
      ["a term earns at most", credits(found.reward_max)], ["set in this term", found.changes],
      ["reports", found.reported.length], ["right sold in", auction(summary.auction)],
      ["until", time(summary.deadline_ms)]]), h("p", { class: "id soft" }, summary.id)),
    panel("Value", lineChart("Value over time", new Map([["value", said("variable_set", "value")]]),
      (value) => String(Math.round(value)), { now_ms: store.status.agreed_time_ms })),
    panel("Objective", lineChart("Objective that was measured at the end of each term",
      new Map([["objective", said("term_ended", "objective_ppm")]]), score)),
    panel("Right", lineChart("Price of the right to set it", new Map([["price", said("term_began", "price")]]),
      whole)),
    wide("Its way", timeline(history.events, store)))];
}
