// The views: each takes the store (and what the address names) and gives its elements.

import { get, getBytes, post, Refused } from "./api.js";
import { lineChart, networkGraph } from "./charts.js";
import { account, credits, download, duration, figures, h, link, panel, score, shortPeer, state,
  table, task, time, wide } from "./dom.js";

const AWARDS_SHOWN = 20;
const FACTS_SHOWN = 15;
const STAGES = ["opened", "bidding", "working", "verifying", "accepted", "settled", "failed"];

export function overview(store) {
  const { status, stake, members } = store;
  return [h("h1", {}, "Network"), h("div", { class: "grid" },
    panel("Now", figures([
      ["network", status.network], ["committee", `${status.committee_name}, epoch ${status.epoch}`],
      ["members", `${status.n}, survives ${status.f}`], ["position", credits(status.position)],
      ["certified", credits(status.certified_position)], ["view", status.view],
      ["credits minted", credits(stake.minted)],
      ["conserved", stake.conserved ? "yes" : h("span", { class: "bad" }, "NO")],
    ])),
    panel("Peers and links", networkGraph(status, members.members, store.peers)),
    wide("Tasks", flow(store)),
    wide("What happens", recent(store.recent.slice(0, FACTS_SHOWN))))];
}

function flow(store) {
  const counts = Object.fromEntries(STAGES.map((stage) => [stage, 0]));
  for (const item of store.tasks) counts[item.state] += 1;
  return h("ol", { class: "flow", "aria-label": "Tasks by state" }, STAGES.map((stage) =>
    h("li", { class: stage === "failed" && counts.failed ? "bad" : "" },
      h("b", {}, counts[stage]), stage)));
}

function recent(items) {
  return table("Newest facts of the committee's log", [
    ["position", (row) => row.position, true], ["time", (row) => time(row.time_ms)],
    ["fact", (row) => row.fact.kind.replaceAll("_", " ")], ["about", (row) => about(row.fact)],
  ], items);
}

function about(fact) {
  const parts = [];
  if (fact.task) parts.push("task ", task(fact.task), " ");
  for (const name of ["winner", "executor", "bidder", "party", "agent", "account", "offender"]) {
    if (fact[name]) parts.push(`${name} `, account(fact[name]), " ");
  }
  for (const name of ["price", "amount", "grade", "outcome", "reason"]) {
    if (fact[name] !== undefined && fact[name] !== null) parts.push(`${name} ${fact[name]} `);
  }
  return parts;
}

export function tasks(store) {
  return [h("h1", {}, "Tasks"), panel("By state", flow(store)), panel("Tasks", table(
    `The ${store.tasks.length} first of this committee`, [
      ["task", (row) => task(row.id)], ["state", (row) => state(row.state)],
      ["capability", (row) => row.capability], ["requester", (row) => account(row.requester)],
      ["executor", (row) => account(row.executor)], ["budget", (row) => credits(row.budget), true],
      ["price", (row) => credits(row.price), true], ["grade", (row) => state(row.grade)],
      ["took", (row) => duration(row.ended_ms ? row.ended_ms - row.opened_ms : null), true],
    ], store.tasks, "no task was opened yet: econode task submit"))];
}

export async function taskDetail(store, id) {
  const at = { committee: store.committee };
  const found = await get(`/v1/tasks/${id}`, at);
  const history = store.recent.filter((item) => item.fact.task === found.id).reverse();
  return [h("h1", {}, "Task ", h("code", {}, found.id.slice(0, 16))), h("div", { class: "grid" },
    panel("What and who", figures([
      ["state", state(found.state)], ["capability", found.capability],
      ["requester", account(found.requester)], ["executor", account(found.executor)],
      ["verifiers", (found.verifiers ?? []).flatMap((peer) => [account(peer), " "])],
      ["budget", credits(found.budget)], ["price", credits(found.price)],
      ["grade", state(found.grade)], ["round", found.round],
      ["input", `${credits(found.input_bytes)} bytes`],
      ["output", found.output ? `${credits(found.output_bytes)} bytes` : null],
      ["took", duration(found.ended_ms ? found.ended_ms - found.opened_ms : null)],
    ]), found.reason ? h("p", { class: "warn" }, found.reason) : null),
    panel("Proof", proofButtons(store, found)),
    wide("Its way", history.length ? h("ol", { class: "timeline" }, history.map((item) => h("li", {},
      h("b", {}, item.fact.kind.replaceAll("_", " ")), ` at ${time(item.time_ms)}, entry `,
      item.position, " ", about(item.fact)))) : h("p", { class: "soft" },
      "Its facts are older than what this page has read: econode ledger log")))];
}

/** Download the certificate of how a task ended, and have it checked. */
function proofButtons(store, found) {
  const said = h("p", { role: "status" });
  const name = `${found.id.slice(0, 8)}.proof`;
  const at = { committee: store.committee };
  const load = () => getBytes(`/v1/tasks/${found.id}/proof`, at);
  const attempt = (action) => async () => {
    try {
      said.textContent = await action();
      said.className = "good";
    } catch (error) {
      said.textContent = error instanceof Refused ? error.message : String(error);
      said.className = "bad";
    }
  };
  return [
    h("p", {}, "A file that proves how this task ended, to anybody who has the genesis: ",
      h("code", {}, `econode ledger verify --light ${name} --genesis genesis.json`)),
    h("button", { type: "button", onclick: attempt(async () => {
      download(name, await load());
      return `${name} was downloaded`;
    }) }, "Download the certificate"), " ",
    h("button", { type: "button", onclick: attempt(async () => {
      const answer = await post("/v1/proofs/verify", {}, await load());
      return `It holds: entry ${answer.position}, ${answer.signers} of ${answer.members} members ` +
        `signed: ${answer.facts.map((fact) => fact.kind.replaceAll("_", " ")).join(", ")}`;
    }) }, "Verify it"), said,
  ];
}

export function market(store) {
  const open = store.tasks.filter((item) => ["opened", "bidding"].includes(item.state));
  const awards = store.recent.filter((item) => item.fact.kind === "awarded").slice(0, AWARDS_SHOWN);
  return [h("h1", {}, "Market"), h("div", { class: "grid" },
    wide("Prices of awarded tasks", lineChart("Price by capability", store.prices,
      (value) => credits(Math.round(value)), (id) => store.nameCapability(id))),
    panel("Offered", table("Capabilities and who offers them", [
      ["capability", (row) => `${row.name} ${row.version}`],
      ["agents", (row) => row.agents.flatMap((peer) => [account(peer), " "])],
    ], store.capabilities, "nobody offers anything")),
    panel("Under auction", table("Tasks that take bids", [
      ["task", (row) => task(row.id)], ["state", (row) => state(row.state)],
      ["budget", (row) => credits(row.budget), true], ["round", (row) => row.round, true],
    ], open, "no auction is open")),
    wide("Awards", table("Newest awards", [
      ["task", (row) => task(row.fact.task)], ["winner", (row) => account(row.fact.winner)],
      ["bid", (row) => credits(row.fact.bid), true], ["paid", (row) => credits(row.fact.price), true],
      ["time", (row) => time(row.time_ms)],
    ], awards)))];
}

export function accounts(store) {
  const scores = new Map(store.reputation.scores.map((item) => [item.peer_id, item]));
  return [h("h1", {}, "Accounts"), h("div", { class: "grid" },
    panel("Bonded stake", lineChart("Bonded credits", store.stakes,
      (value) => credits(Math.round(value)), shortPeer)),
    panel("Reputation", lineChart("Score", store.scores, score, shortPeer)),
    wide("Accounts", table(`After entry ${store.stake.position}`, [
      ["account", (row) => account(row.peer_id)],
      ["score", (row) => score(scores.get(row.peer_id)?.score_ppm), true],
      ["free", (row) => credits(row.free), true], ["bonded", (row) => credits(row.bonded), true],
      ["locked", (row) => credits(row.locked), true], ["escrow", (row) => credits(row.escrow), true],
      ["", (row) => (scores.get(row.peer_id)?.banned ? state("banned") : null)],
    ], store.stake.accounts)))];
}

export async function accountDetail(store, peer) {
  const at = { committee: store.committee };
  const [stake, facts] = await Promise.all([
    get("/v1/stake", { ...at, account: peer }),
    get("/v1/stake/facts", { ...at, account: peer, limit: 20 }),
  ]);
  const found = stake.accounts[0];
  const own = (series) => new Map([...series].filter(([name]) => name === peer));
  const name = `${peer.slice(-6)}.stake.json`;
  return [h("h1", {}, "Account ", h("code", {}, shortPeer(peer))), h("div", { class: "grid" },
    panel("Credits", h("p", { class: "id" }, peer), figures([
      ["free", credits(found?.free)], ["bonded", credits(found?.bonded)],
      ["locked", credits(found?.locked)], ["escrow", credits(found?.escrow)]])),
    panel("Reputation", lineChart("Score", own(store.scores), score, shortPeer)),
    wide("Its facts", table("Newest first, each with its proof", [
      ["position", (row) => row.position, true],
      ["fact", (row) => row.fact.kind.replaceAll("_", " ")], ["about", (row) => about(row.fact)],
      ["certified", (row) => (row.certified === null ? "not yet" : `entry ${row.certified}`)],
    ], facts.facts), h("button", { type: "button",
      onclick: () => download(name, JSON.stringify(facts, null, 2)) },
    "Download these facts with their certificates")))];
}

export function consensus(store) {
  const { status } = store;
  const sizes = new Map([["facts per entry",
    store.commits.map((item) => [item.time_ms, item.facts])]]);
  const signed = status.position - status.certified_position;
  return [h("h1", {}, "Consensus"), h("div", { class: "grid" },
    panel("Health", figures([
      ["view", status.view], ["leader", account(status.primary)], ["epoch", status.epoch],
      ["position", credits(status.position)], ["waiting for a certificate", signed],
      ["stable checkpoint", credits(status.stable_checkpoint)],
      ["pending operations", status.pending_operations], ["faults seen", status.faults],
      ["agreed time", time(status.agreed_time_ms)],
      ["memory", `${Math.round(status.rss_bytes / 2 ** 20)} MiB`],
      ["up", duration(Math.round(status.uptime_s) * 1000)],
    ])),
    panel("Members", table(`Epoch ${store.members.epoch}: any ${store.members.q} decide`, [
      ["member", (row) => account(row.peer_id)],
      ["", (row) => (row.peer_id === status.primary ? state("leader") : null)],
      ["link", (row) => (row.connected ? "up" : h("span", { class: "bad" }, "down"))],
      ["bonded", (row) => credits(row.bonded), true],
    ], store.members.members)),
    wide("Entries", lineChart("Facts per entry", sizes, (value) => credits(Math.round(value)))),
    panel("Views since this page is open", table("Leaders", [
      ["seen", (row) => time(row.seen_ms)], ["epoch", (row) => row.epoch, true],
      ["view", (row) => row.view, true], ["leader", (row) => account(row.primary)],
    ], [...store.views].reverse())),
    panel("Links", table("Peers of this node", [
      ["peer", (row) => account(row.peer_id)],
      ["link", (row) => (row.connected ? "up" : h("span", { class: "bad" }, row.last_error || "down"))],
      ["round trip", (row) => (row.rtt_ms === null ? null : `${row.rtt_ms.toFixed(1)} ms`), true],
      ["in", (row) => credits(row.frames_in), true], ["out", (row) => credits(row.frames_out), true],
      ["dropped", (row) => credits(row.dropped), true],
    ], store.peers)),
    wide("Committees", table("Committees that this node knows of", [
      ["name", (row) => row.name], ["state", (row) => row.state], ["this node", (row) => row.role],
      ["members", (row) => row.members.length, true],
    ], store.committees)))];
}

export function evidence(store) {
  const slashed = store.recent.filter((item) => item.fact.kind === "slashed");
  const paused = store.recent.filter((item) => item.fact.kind === "paused");
  return [h("h1", {}, "Evidence"), h("div", { class: "grid" },
    wide("Proven offences", table("The newest first", [
      ["offence", (row) => h("code", {}, row.id.slice(0, 8))], ["kind", (row) => row.kind],
      ["offender", (row) => account(row.offender)], ["state", (row) => state(row.state)],
      ["cost", (row) => (row.punished ?? []).map((item) =>
        `${item.what}${item.amount === null ? "" : ` ${credits(item.amount)}`} `)],
    ], store.evidence, "nobody is proven to have lied")),
    panel("Slashed", table("In the entries that this page has read", [
      ["offender", (row) => account(row.fact.offender)], ["task", (row) => task(row.fact.task)],
      ["burned", (row) => credits(row.fact.amount), true], ["entry", (row) => row.position, true],
    ], slashed, "no bond burned")),
    panel("Paused agents", table("Missed a deadline", [
      ["agent", (row) => account(row.fact.agent)], ["time", (row) => time(row.time_ms)],
      ["entry", (row) => row.position, true],
    ], paused, "nobody was late")))];
}

export function missing(route) {
  return [h("h1", {}, "There is no such view"), h("p", {}, h("code", {}, route), " ", link("", "Network"))];
}
