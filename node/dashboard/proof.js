// A certificate to download, the command that checks it anywhere, and a check by this node.

import { getBytes, post } from "./api.js";
import { download, h, words } from "./dom.js";

/**
 * What offers a proof. `load` fetches its bytes, `name` is the file's, `what` says what it proves,
 * `command` is what checks it; `checked`: the node can check it as well.
 */
export function proofPanel({ name, what, command, load, checked = true }) {
  const said = h("p", { role: "status" });
  const attempt = (action) => async () => {
    said.className = "soft";
    said.textContent = "…";
    try {
      said.textContent = await action();
      said.className = "good";
    } catch (error) {
      said.textContent = error.problem?.remedy ? `${error.message}; ${error.problem.remedy}` : error.message;
      said.className = "bad";
    }
  };
  const save = attempt(async () => {
    download(name, await load());
    return `${name} was downloaded`;
  });
  const verify = attempt(async () => describe(await post("/v1/proofs/verify", {}, await load())));
  return h("section", { class: "panel", "data-keep": true, "data-key": name }, h("h2", {}, "Proof"),
    h("p", {}, what, " Whoever has the genesis checks it, with no node and no trust in this one:"),
    h("pre", { class: "command", tabindex: 0 }, command),
    h("p", { class: "actions" }, h("button", { type: "button", onclick: save }, "Download the certificate"),
      checked ? h("button", { type: "button", onclick: verify }, "Verify it") : null), said);
}

function describe(answer) {
  const kinds = [...new Set(answer.facts.map((fact) => words(fact.kind)))];
  return `It holds: entry ${answer.position}, ${answer.signers} of ${answer.members} members signed: ` +
    kinds.join(", ");
}

/** The proof of all facts of an entry. */
export function entryProof(store, position, what) {
  const name = `entry-${position}.proof`;
  return proofPanel({ name, what,
    command: `econode ledger verify --light ${name} --genesis genesis.json`,
    load: () => getBytes(`/v1/history/entries/${position}/proof`, { committee: store.committee }) });
}
