// The page: its token, the address, and the view that the address names.

import { get, Refused, setToken, takeToken } from "./api.js";
import { listAlerts } from "./alerts.js";
import { h, link } from "./dom.js";
import { findView } from "./find.js";
import { morph } from "./morph.js";
import { Store } from "./store.js";
import { accountDetail, accounts } from "./view_accounts.js";
import { auctionDetail } from "./view_auction.js";
import { consensus } from "./view_consensus.js";
import { evidence, evidenceDetail } from "./view_evidence.js";
import { market, marketDetail, variableDetail } from "./view_market.js";
import { entryDetail, overview } from "./view_network.js";
import { taskDetail, tasks } from "./view_tasks.js";

const NAV = [["", "Network", overview], ["tasks", "Tasks", tasks], ["market", "Market", market],
  ["accounts", "Accounts", accounts], ["consensus", "Consensus", consensus],
  ["evidence", "Evidence", evidence]];
const DETAILS = { task: taskDetail, auction: auctionDetail, account: accountDetail, market: marketDetail,
  variable: variableDetail, evidence: evidenceDetail, entry: entryDetail, find: findView };
const PARENTS = { task: "tasks", auction: "market", account: "accounts", variable: "market", entry: "" };

const content = document.getElementById("content");
const nav = document.getElementById("nav");
const chooser = document.getElementById("committee");
const finder = document.getElementById("find");
let store = null;
let drawing = 0;
let fresh = null;

function route() {
  return location.hash.replace(/^#\/?/, "").split("/");
}

function chooseView(name, argument) {
  const [, , view] = NAV.find(([path]) => path === name) ?? [];
  return (argument ? DETAILS[name] ?? view : view) ?? (() => missing());
}

function missing() {
  return [h("h1", {}, "There is no such view"), h("p", {}, h("code", {}, location.hash), " ",
    link("", "Network"))];
}

/** Show the view that the address names. `entered`: "opened" or "walked" to it, else it only changed. */
async function draw(entered = null) {
  const [name, ...rest] = route();
  const mine = ++drawing;
  fresh = entered ?? fresh; // a draw that is overtaken hands this on to the one that overtakes it
  let elements;
  try {
    elements = await chooseView(name, rest[0])(store, ...rest);
  } catch (error) {
    elements = [h("h1", {}, "That cannot be shown"), h("p", { class: "bad" }, error.message),
      h("p", {}, error.problem?.remedy ?? "")];
  }
  if (mine !== drawing) return;
  drawFrame(name);
  const shown = fresh;
  fresh = null;
  if (!shown) return void morph(content, elements);
  content.replaceChildren(...elements);
  document.title = `${content.querySelector("h1").textContent} – Econode`;
  if (shown === "walked") content.focus();
}

function drawFrame(name) {
  const present = PARENTS[name] ?? name;
  morph(nav, NAV.map(([path, title]) => h("a", { href: `#/${path}`,
    "aria-current": path === present ? "page" : null }, title)));
  const status = document.getElementById("link");
  if (status.textContent !== store.state) status.textContent = store.state;
  status.className = store.state === "live" ? "good" : "warn";
  morph(document.getElementById("alerts"), listAlerts(store).filter((alert) => alert.bad)
    .map((alert) => h("p", {}, alert.text, " ", link(alert.to, "more"))));
}

async function open(committee) {
  store?.stop();
  store = new Store(committee);
  await store.start();
  store.addEventListener("change", () => draw());
  const own = store.committees.filter((item) => ["member", "observer"].includes(item.role));
  chooser.replaceChildren(...own.map((item) => h("option", { value: item.name,
    selected: item.name === committee }, item.name)));
  document.body.classList.add("open");
  await draw("opened");
}

function askToken(reason) {
  document.body.classList.remove("open");
  const input = h("input", { id: "token", type: "password", autocomplete: "off", required: true });
  content.replaceChildren(h("h1", {}, "Which node is yours?"),
    h("p", { class: reason ? "bad" : "soft" }, reason),
    h("form", { onsubmit: (event) => {
      event.preventDefault();
      setToken(input.value.trim());
      begin();
    } }, h("p", {}, h("label", { for: "token" }, "The content of the file api.token in the node's home: "),
      input, " ", h("button", {}, "Open")),
    h("p", { class: "soft" }, "Or let the node print an address that holds it: ",
      h("code", {}, "econode dashboard"))));
  input.focus();
}

async function begin() {
  try {
    await get("/v1/peers");
    await open(chooser.value || "main");
  } catch (error) {
    askToken(error instanceof Refused && error.status === 401
      ? "The node did not accept the token." : error.message);
  }
}

chooser.addEventListener("change", () => open(chooser.value));
finder.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = finder.elements.text.value.trim();
  if (text) location.hash = `#/find/${encodeURIComponent(text)}`;
  finder.reset();
});
window.addEventListener("hashchange", () => (takeToken() && store ? draw("walked") : begin()));
if (takeToken()) begin();
else askToken("");
