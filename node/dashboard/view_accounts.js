// Accounts: credits, stake and reputation over time; and one with its facts and their proofs.

import { get } from "./api.js";
import { lineChart } from "./charts.js";
import { account, credits, download, entry, figures, h, link, panel, score, shortPeer, state, table, time, wide,
  words } from "./dom.js";
import { about } from "./facts.js";
import { entryProof } from "./proof.js";

const PAGE = 20;
const short = { name: shortPeer };
const whole = (value) => credits(Math.round(value));

export function accounts(store) {
  const scores = new Map(store.reputation.scores.map((item) => [item.peer_id, item]));
  return [h("h1", {}, "Accounts"), h("div", { class: "grid" },
    panel("Bonded stake", lineChart("Bonded credits", store.stakes(), whole, short)),
    panel("Reputation", lineChart("Score", store.reputations(), score, short)),
    wide("Accounts", table(`After entry ${store.stake.position}`, [
      ["account", (row) => account(row.peer_id)],
      ["score", (row) => score(scores.get(row.peer_id)?.score_ppm), true],
      ["free", (row) => credits(row.free), true], ["bonded", (row) => credits(row.bonded), true],
      ["locked", (row) => credits(row.locked), true], ["escrow", (row) => credits(row.escrow), true],
      ["", (row) => (scores.get(row.peer_id)?.banned ? state("banned") : null)],
    ], store.stake.accounts, "nobody has credits", (row) => row.peer_id)),
    wide("All credits", figures([["minted", credits(store.stake.minted)],
      ["treasury", credits(store.stake.treasury)], ["burned", credits(store.stake.burned)],
      ["in other committees", credits(store.stake.transit)],
      ["conserved", store.stake.conserved ? "yes" : h("span", { class: "bad" }, "NO")]])))];
}

export async function accountDetail(store, peer, cursor = "") {
  const at = { committee: store.committee };
  const [stake, facts] = await Promise.all([
    get("/v1/stake", { ...at, account: peer }),
    get("/v1/stake/facts", { ...at, account: peer, limit: PAGE, cursor: cursor || null }),
  ]);
  const found = stake.accounts[0];
  const rating = store.reputation.scores.find((item) => item.peer_id === peer);
  const committees = store.committees.filter((item) => item.members.includes(peer));
  const proven = facts.facts.find((row) => row.certified !== null);
  return [h("h1", {}, "Account ", h("code", {}, shortPeer(peer))), h("div", { class: "grid" },
    panel("Credits", h("p", { class: "id" }, peer), figures([
      ["free", credits(found?.free)], ["bonded", credits(found?.bonded)],
      ["locked", credits(found?.locked)], ["escrow", credits(found?.escrow)],
      ["score", score(rating?.score_ppm)], ["", rating?.banned ? state("banned") : null],
      ["member of", committees.map((item) => item.name).join(", ") || "no committee"],
    ].filter(([name, value]) => name || value)), unbondings(found)),
    proven ? entryProof(store, proven.position, "A file that proves the newest certified entry about this account " +
      `(${words(proven.fact.kind)}, entry ${proven.position}); older ones stand below.`)
      : panel("Proof", h("p", { class: "soft" }, "No fact about it is certified yet.")),
    panel("Bonded stake", lineChart("Bonded credits", store.stakes(peer), whole, short)),
    panel("Reputation", lineChart("Score", store.reputations(peer), score, short)),
    wide("Its facts", table("Newest first, each with its proof", [
      ["entry", (row) => entry(row.position), true],
      ["fact", (row) => words(row.fact.kind)], ["about", (row) => about(row.fact, store)],
      ["certified", (row) => (row.certified === null ? "not yet" : `entry ${row.certified}`)],
    ], facts.facts, "none", (row) => `${row.position}.${row.item}`),
    h("p", { class: "actions" }, facts.next ? link(`account/${peer}/${facts.next}`, "older") : null,
      h("button", { type: "button",
        onclick: () => download(`${peer.slice(-6)}.stake.json`, JSON.stringify(facts, null, 2)) },
      "Download these facts with Merkle paths"))))];
}

function unbondings(found) {
  if (!found?.unbondings.length) return null;
  return h("p", {}, found.unbondings.map((each) =>
    `${credits(each.amount)} of the bond become free at ${time(each.due_ms)}. `));
}
