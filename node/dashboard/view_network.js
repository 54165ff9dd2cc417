// The network as this node sees it, and one entry of its log.

import { get } from "./api.js";
import { listAlerts } from "./alerts.js";
import { credits, entry, figures, h, link, panel, time, wide, words } from "./dom.js";
import { about, factTable } from "./facts.js";
import { networkGraph } from "./network.js";
import { entryProof } from "./proof.js";
import { taskFlow } from "./view_tasks.js";

const FACTS_SHOWN = 15;

export function overview(store) {
  const { status, stake, members } = store;
  return [h("h1", {}, "Network"), h("div", { class: "grid" },
    h("div", { class: "stack" }, panel("Now", figures([
      ["network", status.network], ["committee", `${status.committee_name}, epoch ${status.epoch}`],
      ["members", `${status.n}, survives ${status.f}`], ["this node", status.roles.join(", ")],
      ["entry", entry(status.position)], ["certified", credits(status.certified_position)],
      ["view", status.view], ["credits minted", credits(stake.minted)],
      ["conserved", stake.conserved ? "yes" : h("span", { class: "bad" }, "NO")],
    ])), panel("Alerts", alertList(store)),
    panel("Committees", h("ul", { class: "plain" }, store.committees.map((item) => h("li", {},
      h("b", {}, item.name), ` ${item.state}, ${item.members.length} members, this node: ${item.role}`,
      item.state === "proposed" ? `, ${item.consented.length} consented` : ""))))),
    panel("Peers and links", networkGraph(store)),
    wide("Tasks", taskFlow(store)),
    wide("What happens", factTable("Newest facts of the committee's log",
      store.recent.slice(0, FACTS_SHOWN), store, `${members.n} members wait for work`)))];
}

function alertList(store) {
  const alerts = listAlerts(store);
  if (!alerts.length) return h("p", { class: "good" }, "Nothing needs you.");
  return h("ul", { class: "plain" }, alerts.map((alert) => h("li", { class: alert.bad ? "bad" : "warn" },
    h("b", {}, alert.bad ? "Alarm: " : "Note: "), alert.text, " ", link(alert.to, "more"))));
}

/** One entry of the log: all its facts, and their proof. */
export async function entryDetail(store, text) {
  const position = Number(text);
  const page = await get("/v1/facts", { committee: store.committee, from: position, limit: 1 });
  const found = page.entries.find((item) => item.position === position);
  if (!found) {
    return [h("h1", {}, "Entry ", text), h("p", {}, position > store.status.position
      ? "It does not exist yet." : "This node does not hold it: it went on from a later state.")];
  }
  const sides = h("p", {}, position > 0 ? link(`entry/${position - 1}`, "previous") : null, " ",
    position < store.status.position ? link(`entry/${position + 1}`, "next") : null);
  return [h("h1", {}, `Entry ${credits(position)}`), sides, h("div", { class: "grid" },
    panel("What it is", figures([["time", time(found.time_ms)], ["facts", found.facts.length],
      ["certified", found.certified ? "yes" : "not yet"]]), h("p", { class: "id" }, found.hash)),
    entryProof(store, position, "A file with all facts of this entry and a quorum's signatures over it."),
    wide("Facts", h("ol", { class: "timeline" }, found.facts.map((fact) => h("li", {},
      h("b", {}, words(fact.kind)), " ", about(fact, store), moves(fact))))))];
}

function moves(fact) {
  const short = (name) => (name.startsWith("12D3") ? `…${name.slice(-6)}` : name);
  if (!fact.moves.length) return null;
  return h("ul", { class: "moves" }, fact.moves.map((move) => h("li", {},
    `${credits(move.amount)}: ${short(move.source)} ${move.source_bucket} → ` +
    `${short(move.target)} ${move.target_bucket}`)));
}
