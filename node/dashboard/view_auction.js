// One general auction: terms, bids as far as they are open, awards, its way and its certificate.

import { get, getBytes } from "./api.js";
import { lineChart } from "./charts.js";
import { account, credits, figures, h, panel, score, state, table, time, wide, words } from "./dom.js";
import { timeline } from "./facts.js";
import { proofPanel } from "./proof.js";

const STORY = 200;

export async function auctionDetail(store, id) {
  const at = { committee: store.committee };
  const found = await get(`/v1/auctions/${id}`, at);
  const { summary, terms } = found;
  const story = await get(`/v1/history/about/${summary.id}`, { ...at, limit: STORY });
  const name = `${summary.id.slice(0, 8)}.auction`;
  const offers = (bundles) => bundles.map((each) => `${each.lots.join(" + ")}: ${credits(each.price)} `);
  const placed = story.facts.filter((item) => item.fact.kind === "bid_placed")
    .map((item) => [item.time_ms, item.fact.price]);
  return [h("h1", {}, "Auction ", h("code", {}, summary.id.slice(0, 16))), h("div", { class: "grid" },
    panel("What and who", figures([
      ["state", state(summary.state)], ["kind", words(summary.kind)],
      ["direction", summary.direction === "forward" ? "the opener sells" : "the opener buys"],
      ["opener", account(summary.opener)], ["phase", words(found.phase)],
      ["until", time(summary.deadline_ms)], ["price", credits(summary.price)], ["bids", summary.bids],
      ["price to bid now", credits(found.quote)], ["best bid of", account(found.standing)],
      ["waits for", found.waiting.length ? found.waiting.flatMap((peer) => [account(peer), " "]) : null],
      ["gap to the best", found.gap_ppm === null ? null : `${found.gap_ppm} ppm`],
    ]), h("p", { class: "id soft" }, summary.id)),
    found.position === null ? panel("Proof", h("p", { class: "soft" }, "There is a certificate once there is " +
      "a result: ", h("code", {}, `econode auction watch ${summary.id.slice(0, 8)}`)))
      : proofPanel({ name, what: "The result with everything that it follows from, signed by a quorum.",
      command: `econode auction verify ${name} --genesis genesis.json`, checked: false,
      load: () => getBytes(`/v1/auctions/${summary.id}/certificate`, at) }),
    wide("Lots", table("What is sold or wanted", [
      ["lot", (row) => row.name], ["about", (row) => row.text], ["limit", (row) => credits(row.limit), true],
    ], terms.lots)),
    placed.length ? wide("Best bid", lineChart("Best bid over time", new Map([["bid", placed]]),
      (value) => credits(Math.round(value)),
      { now_ms: summary.ended_ms ?? store.status.agreed_time_ms })) : null,
    wide("Bids", table("Sealed ones are shown once they are opened", [
      ["bidder", (row) => account(row.bidder)],
      ["bid", (row) => (row.bundles === null ? state("sealed") : offers(row.bundles))],
      ["weight", (row) => score(row.weight_ppm), true],
    ], found.bids, "no bid yet", (row) => row.bidder)),
    wide("Awards", table("Who gets what", [
      ["winner", (row) => account(row.winner)], ["lots", (row) => row.lots.join(", ")],
      ["price", (row) => credits(row.price), true], ["delivery", (row) => row.delivery],
      ["paid", (row) => credits(row.paid), true],
    ], found.awards, "nobody has won yet")),
    wide("Its way", timeline(story.facts, store)))];
}
