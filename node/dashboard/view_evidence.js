// Evidence and halts: who was proven to have lied and what it cost, which markets stood still.

import { get, getBytes } from "./api.js";
import { account, credits, entry, figures, h, link, panel, shortPeer, state, table, task, time, wide,
  words } from "./dom.js";
import { proofPanel } from "./proof.js";
import { haltTable } from "./view_market.js";

const SCREENED = 2000;
const SCREENS_MS = 15000;
let screened = { committee: null, at: 0, found: [] };

export async function evidence(store) {
  const facts = (kind) => store.recent.filter((item) => item.fact.kind === kind);
  return [h("h1", {}, "Evidence"), h("div", { class: "grid" },
    wide("Proven offences", table("The newest first", [
      ["offence", (row) => link(`evidence/${row.id}`, row.id.slice(0, 8))], ["kind", (row) => words(row.kind)],
      ["offender", (row) => offender(row)], ["state", (row) => state(row.state)],
      ["cost", (row) => costs(row)],
    ], store.evidence, "nobody is proven to have lied", (row) => row.id)),
    wide("Halts", haltTable(store.halts, store)),
    wide("Worth a look", screenTable(await askScreens(store))),
    panel("Slashed", table("In the entries that this page has read", [
      ["offender", (row) => account(row.fact.offender)], ["task", (row) => task(row.fact.task)],
      ["burned", (row) => credits(row.fact.amount), true], ["entry", (row) => entry(row.position), true],
    ], facts("slashed"), "no bond burned")),
    panel("Paused agents", table("Missed a deadline", [
      ["agent", (row) => account(row.fact.agent)], ["time", (row) => time(row.time_ms)],
      ["entry", (row) => entry(row.position), true],
    ], facts("paused"), "nobody was late")))];
}

/** Screens read thousands of entries: asked for now and then, not with each change. */
async function askScreens(store) {
  const { committee } = store;
  if (screened.committee !== committee || performance.now() - screened.at > SCREENS_MS) {
    const answer = await get("/v1/market/screens", { committee, positions: SCREENED });
    screened = { committee, at: performance.now(), found: answer.evidence };
  }
  return screened.found;
}

function screenTable(found) {
  return table(`Patterns of foul play in the newest ${credits(SCREENED)} entries: reasons to look, not verdicts`, [
    ["pattern", (row) => words(row.screen)],
    ["parties", (row) => row.parties.flatMap((peer) => [account(peer), " "])],
    ["about", (row) => shortPeer(row.about)],
    ["numbers", (row) => Object.entries(row.numbers).map(([name, value]) => `${words(name)} ${value} `)],
  ], found, "nothing stands out");
}

function offender(item) {
  return item.offender.startsWith("12D3") ? account(item.offender) : `committee ${item.offender}`;
}

function costs(item) {
  return item.punished.map((each) => `${words(each.what.replace("-", "_"))}` +
    `${each.amount === null ? "" : ` ${credits(each.amount)}`} `);
}

export async function evidenceDetail(store, id) {
  const found = await get(`/v1/evidence/${id}`);
  const name = `${found.id.slice(0, 8)}.evidence`;
  return [h("h1", {}, "Offence ", h("code", {}, found.id.slice(0, 16))), h("div", { class: "grid" },
    panel("What and who", figures([["kind", words(found.kind)], ["offender", offender(found)],
      ["state", state(found.state)], ["signed twice", words(found.statement)], ["slot", found.slot.join(", ")],
      ["committee", found.committee], ["epoch", found.epoch], ["seen", time(found.seen_ms)],
      ["cost", costs(found)], ["this node halted", found.halted ? "yes" : "no"]])),
    proofPanel({ name, what: "Both statements, as the offender signed them.", checked: false,
      command: `econode evidence verify ${name} --genesis genesis.json`,
      load: () => getBytes(`/v1/evidence/${found.id}/file`, {}) }))];
}
