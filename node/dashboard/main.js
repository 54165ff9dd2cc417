// The page: its token, the address, and the view that the address names.

import { get, Refused, setToken, takeToken } from "./api.js";
import { h } from "./dom.js";
import { Store } from "./store.js";
import * as views from "./views.js";

const NAV = [["", "Network", views.overview], ["tasks", "Tasks", views.tasks],
  ["market", "Market", views.market], ["accounts", "Accounts", views.accounts],
  ["consensus", "Consensus", views.consensus], ["evidence", "Evidence", views.evidence]];
const DETAILS = { task: views.taskDetail, account: views.accountDetail };
const PARENTS = { task: "tasks", account: "accounts" };

const content = document.getElementById("content");
const nav = document.getElementById("nav");
const chooser = document.getElementById("committee");
let store = null;
let drawing = 0;

function route() {
  return location.hash.replace(/^#\/?/, "").split("/");
}

async function draw(isNew) {
  const [name, argument] = route();
  const mine = ++drawing;
  const view = NAV.find(([path]) => path === name)?.[2] ?? DETAILS[name];
  let elements;
  try {
    elements = view ? await view(store, argument) : views.missing(location.hash);
  } catch (error) {
    elements = [h("h1", {}, "That cannot be shown"), h("p", { class: "bad" }, error.message)];
  }
  if (mine !== drawing) return;
  drawFrame(name);
  const focused = document.activeElement;
  if (!isNew && focused !== content && content.contains(focused)) return; // nobody loses their place
  content.replaceChildren(...elements);
  if (isNew) {
    document.title = `${content.querySelector("h1").textContent} – Econode`;
    content.focus();
  }
}

function drawFrame(name) {
  const present = PARENTS[name] ?? name;
  nav.replaceChildren(...NAV.map(([path, title]) => h("a", { href: `#/${path}`,
    "aria-current": path === present ? "page" : null }, title)));
  const status = document.getElementById("link");
  status.textContent = store.state;
  status.className = store.state === "live" ? "good" : "warn";
  const frozen = store.status.frozen_borders.map((border) =>
    `The border to committee ${border} is frozen: it was proven to contradict itself.`);
  const texts = [...store.status.alarms, ...frozen];
  const alerts = document.getElementById("alerts");
  if (alerts.textContent !== texts.join("")) {
    alerts.replaceChildren(...texts.map((text) => h("p", {}, text)));
  }
}

async function open(committee) {
  store?.stop();
  store = new Store(committee);
  await store.start();
  store.addEventListener("change", () => draw(false));
  const own = store.committees.filter((item) => ["member", "observer"].includes(item.role));
  chooser.replaceChildren(...own.map((item) => h("option", { value: item.name,
    selected: item.name === committee }, item.name)));
  await draw(true);
}

function askToken(reason) {
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
window.addEventListener("hashchange", () => (takeToken() && store ? draw(true) : begin()));
if (takeToken()) begin();
else askToken("");
