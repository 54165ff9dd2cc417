// Tasks: how they flow, all of them page by page, and one with its bids, its way and its proof.

import { get, getBytes } from "./api.js";
import { account, credits, duration, entry, figures, h, link, panel, state, table, task, time,
  wide } from "./dom.js";
import { timeline } from "./facts.js";
import { proofPanel } from "./proof.js";

export const STAGES = ["opened", "bidding", "working", "verifying", "delivered", "accepted", "settled", "failed",
  "cancelled"];
const ALWAYS = ["opened", "bidding", "working", "verifying", "accepted", "settled", "failed"];
const CHIPS = 5;
const PAGE = 50;
const STORY = 200;

/** Tasks by state, with the newest of each; one that has just come to a state is marked. */
export function taskFlow(store) {
  const stages = STAGES.filter((stage) => ALWAYS.includes(stage) || store.taskCounts[stage]);
  return h("ol", { class: "flow", "aria-label": "Tasks by state" }, stages.map((stage) => {
    const count = store.taskCounts[stage] ?? 0;
    const newest = store.tasks.filter((item) => item.state === stage).slice(0, CHIPS);
    return h("li", { class: stage === "failed" && count ? "bad" : null, "data-key": stage },
      h("a", { href: `#/tasks/${stage}`, class: "stage" }, h("b", {}, credits(count)), stage),
      h("ul", { class: "chips" }, newest.map((item) => h("li", { "data-key": item.id,
        class: store.changed.has(item.id) ? "new" : null }, task(item.id)))));
  }));
}

/** The newest tasks; `stage` and `cursor` come from the address. */
export async function tasks(store, stage = "", cursor = "") {
  const known = STAGES.includes(stage) ? stage : null;
  const page = await get("/v1/history/tasks", { committee: store.committee, state: known, limit: PAGE,
    cursor: cursor || null });
  const caption = `${known ? `Tasks that are ${known}` : "Tasks"}, the last opened first`;
  return [h("h1", {}, "Tasks"), panel("By state", taskFlow(store)), panel("Tasks",
    known ? h("p", {}, link("tasks", "show all")) : null, table(caption, [
      ["task", (row) => task(row.id)], ["state", (row) => state(row.state)],
      ["capability", (row) => row.capability], ["requester", (row) => account(row.requester)],
      ["executor", (row) => account(row.executor)], ["budget", (row) => credits(row.budget), true],
      ["price", (row) => credits(row.price), true], ["grade", (row) => state(row.grade)],
      ["opened", (row) => time(row.opened_ms)],
      ["took", (row) => duration(row.ended_ms ? row.ended_ms - row.opened_ms : null), true],
    ], page.tasks, known ? "none" : "no task was opened yet: econode task submit", (row) => row.id),
    page.next ? h("p", {}, link(`tasks/${known ?? "all"}/${page.next}`, "older")) : null)];
}

export async function taskDetail(store, id) {
  const at = { committee: store.committee };
  const found = await get(`/v1/tasks/${id}`, at);
  const story = await get(`/v1/history/about/${found.id}`, { ...at, limit: STORY });
  const name = `${found.id.slice(0, 8)}.proof`;
  return [h("h1", {}, "Task ", h("code", {}, found.id.slice(0, 16))), h("div", { class: "grid" },
    panel("What and who", figures([
      ["state", state(found.state)], ["capability", found.capability],
      ["requester", account(found.requester)], ["executor", account(found.executor)],
      ["verifiers", found.verifiers.length ? found.verifiers.flatMap((peer) => [account(peer), " "]) : null],
      ["verification", found.verification], ["progress", `${Math.round(found.progress_ppm / 10000)} %`],
      ["budget", credits(found.budget)], ["price", credits(found.price)],
      ["grade", state(found.grade)], ["round", found.round],
      ["input", `${credits(found.input_bytes)} bytes`],
      ["output", found.output ? `${credits(found.output_bytes)} bytes` : null],
      ["judges' median", found.score], ["deadline", time(found.deadline_ms)],
      ["took", duration(found.ended_ms ? found.ended_ms - found.opened_ms : null)],
    ]), found.reason ? h("p", { class: "warn" }, found.reason) : null, h("p", { class: "id soft" }, found.id)),
    found.ended_ms === null ? panel("Proof", h("p", { class: "soft" },
      "There is a certificate once the task has ended."))
      : proofPanel({ name, what: "A file that proves how this task ended.",
      command: `econode ledger verify --light ${name} --genesis genesis.json`,
      load: () => getBytes(`/v1/tasks/${found.id}/proof`, at) }),
    wide("Bids", bidTable(story.facts)),
    wide("Its way", timeline(story.facts, store), story.next
      ? h("p", { class: "soft" }, `The first ${STORY} facts; all: econode trace ${found.id.slice(0, 8)}`) : null))];
}

/** Bids of a task's rounds: sealed until they are opened. */
function bidTable(items) {
  const rows = new Map();
  for (const { fact, position } of items) {
    const name = `${fact.round} ${fact.bidder}`;
    if (fact.kind === "bid_committed") {
      rows.set(name, { ...fact, position, said: fact.commitment ? "sealed" : "passed", price: null });
    }
    if (fact.kind === "bid_revealed" && rows.has(name)) {
      Object.assign(rows.get(name), { said: "opened", price: fact.price });
    }
    const won = fact.kind === "awarded" && rows.get(`${fact.round} ${fact.winner}`);
    if (won) Object.assign(won, { said: "won", paid: fact.price });
  }
  return table("Prices are shown once they are opened; the winner is paid what the second best asked", [
    ["round", (row) => row.round, true], ["bidder", (row) => account(row.bidder)],
    ["bid", (row) => credits(row.price) ?? row.said, true], ["result", (row) => state(row.said)],
    ["paid", (row) => credits(row.paid), true], ["entry", (row) => entry(row.position), true],
  ], [...rows.values()], "nobody has bid yet");
}
