// Consensus: health of this member, who is linked, how fast and how large entries are.

import { lineChart } from "./charts.js";
import { account, credits, duration, figures, h, panel, state, table, time, wide } from "./dom.js";

export function consensus(store) {
  const { status } = store;
  const of = (field) => store.commits.slice(1).map((item) => [item.time_ms, item[field]]);
  const waiting = status.position - status.certified_position;
  return [h("h1", {}, "Consensus"), h("div", { class: "grid" },
    panel("Health", figures([
      ["view", status.view], ["leader", account(status.primary)], ["epoch", status.epoch],
      ["entry", credits(status.position)], ["waiting for a certificate", credits(waiting)],
      ["stable checkpoint", credits(status.stable_checkpoint)],
      ["pending operations", status.pending_operations], ["faults seen", status.faults],
      ["agreed time", time(status.agreed_time_ms)],
      ["memory", `${Math.round(status.rss_bytes / 2 ** 20)} MiB`],
      ["up", duration(Math.round(status.uptime_s) * 1000)], ["version", status.version],
    ])),
    panel("Members", table(`Epoch ${store.members.epoch}: any ${store.members.q} of ${store.members.n} decide`, [
      ["member", (row) => account(row.peer_id)],
      ["", (row) => [row.peer_id === status.primary ? state("leader") : null, " ",
        row.peer_id === status.peer_id ? state("this node") : null]],
      ["link", (row) => (row.connected ? "up" : h("span", { class: "bad" }, "down"))],
      ["bonded", (row) => credits(row.bonded), true],
    ], store.members.members, "none", (row) => row.peer_id)),
    panel("Time between entries", lineChart("Milliseconds of agreed time between entries",
      new Map([["gap", of("gap_ms")]]), (value) => duration(Math.round(value)))),
    panel("Facts per entry", lineChart("Facts per entry", new Map([["facts", of("facts")]]),
      (value) => credits(Math.round(value)))),
    panel("Views since this page is open", table("Leaders", [
      ["seen", (row) => time(row.seen_ms)], ["epoch", (row) => row.epoch, true],
      ["view", (row) => row.view, true], ["leader", (row) => account(row.primary)],
    ], [...store.views].reverse())),
    panel("Committees", table("Committees that this node knows of", [
      ["name", (row) => row.name], ["state", (row) => row.state], ["this node", (row) => row.role],
      ["members", (row) => row.members.length, true],
    ], store.committees)),
    wide("Links", table("Peers of this node", [
      ["peer", (row) => account(row.peer_id)], ["address", (row) => h("code", {}, row.address)],
      ["link", (row) => (row.connected ? "up" : h("span", { class: "bad" }, row.last_error || "down"))],
      ["round trip", (row) => (row.rtt_ms === null ? null : `${row.rtt_ms.toFixed(1)} ms`), true],
      ["in", (row) => credits(row.frames_in), true], ["out", (row) => credits(row.frames_out), true],
      ["dropped", (row) => credits(row.dropped), true],
    ], store.peers, "no link", (row) => row.peer_id)))];
}
