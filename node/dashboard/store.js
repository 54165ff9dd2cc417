// What the page knows: answers of the API, asked again when the log grows, and a fold of the log's
// newest entries into what changes over time.

import { get, follow } from "./api.js";

const PAGE = 256;
const HISTORY_ENTRIES = 1024;
const RECENT_MAX = 4000;
const POINTS_MAX = 400;
const TASKS_MAX = 200;
const REFRESH_MS = 1000;
const POLL_MS = 5000;

export class Store extends EventTarget {
  constructor(committee) {
    super();
    this.committee = committee;
    this.state = "connecting";
    this.recent = [];
    this.prices = new Map();
    this.scores = new Map();
    this.stakes = new Map();
    this.commits = [];
    this.views = [];
    this.names = new Map();
    this.capabilityOf = new Map();
    this.fromPosition = 0;
    this.stopping = new AbortController();
  }

  async start() {
    await this.refresh();
    const last = this.status.position;
    this.fromPosition = Math.max(0, last - HISTORY_ENTRIES + 1);
    for (let from = this.fromPosition; from <= last;) {
      const page = await get("/v1/facts", { committee: this.committee, from, limit: PAGE });
      page.entries.forEach((entry) => this.fold(entry));
      if (page.next <= from) break;
      from = page.next;
    }
    follow(this.committee, last + 1, (entry) => this.onEntry(entry),
      (state) => this.setState(state), this.stopping.signal);
    this.timer = setInterval(() => this.refreshSoon(), POLL_MS);
  }

  stop() {
    this.stopping.abort();
    clearInterval(this.timer);
    clearTimeout(this.waiting);
  }

  setState(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  onEntry(entry) {
    this.fold(entry);
    this.refreshSoon();
  }

  refreshSoon() {
    this.waiting ??= setTimeout(async () => {
      try {
        await this.refresh();
      } catch (error) {
        this.setState(error.message);
      }
      this.waiting = undefined;
    }, REFRESH_MS);
  }

  /** Ask for everything that the views show of the present. */
  async refresh() {
    const at = { committee: this.committee };
    const [status, members, peers, stake, reputation, tasks, capabilities, evidence, committees] =
      await Promise.all([
        get("/v1/status", at), get("/v1/members", at), get("/v1/peers"), get("/v1/stake", at),
        get("/v1/reputation", at), get("/v1/tasks", { ...at, limit: TASKS_MAX }),
        get("/v1/capabilities", at), get("/v1/evidence"), get("/v1/committees"),
      ]);
    Object.assign(this, { status, members, peers: peers.peers, stake, reputation,
      tasks: tasks.tasks, capabilities: capabilities.capabilities,
      evidence: evidence.evidence, committees: committees.committees });
    for (const item of this.capabilities) this.names.set(item.id, `${item.name} ${item.version}`);
    const now = status.agreed_time_ms;
    for (const item of stake.accounts) addPoint(this.stakes, item.peer_id, now, item.bonded);
    for (const item of reputation.scores) addPoint(this.scores, item.peer_id, now, item.score_ppm);
    const view = this.views.at(-1);
    if (!view || view.view !== status.view || view.epoch !== status.epoch) {
      this.views.push({ view: status.view, epoch: status.epoch, primary: status.primary,
        seen_ms: Date.now() });
    }
    this.dispatchEvent(new Event("change"));
  }

  fold(entry) {
    this.commits.push({ position: entry.position, time_ms: entry.time_ms, facts: entry.facts.length });
    if (this.commits.length > HISTORY_ENTRIES) this.commits.shift();
    for (const fact of entry.facts) this.foldFact(fact, entry);
  }

  foldFact(fact, entry) {
    if (fact.kind === "task_opened") this.capabilityOf.set(fact.task, fact.capability);
    if (fact.kind === "awarded") {
      addPoint(this.prices, this.capabilityOf.get(fact.task) ?? "", entry.time_ms, fact.price);
    }
    if (fact.kind === "snapshot") {
      for (const item of fact.scores) {
        addPoint(this.scores, item.agent, entry.time_ms, item.score_ppm);
      }
    }
    this.recent.unshift({ position: entry.position, time_ms: entry.time_ms, fact });
    if (this.recent.length > RECENT_MAX) this.recent.pop();
  }

  nameCapability(id) {
    return this.names.get(id) ?? id?.slice(0, 8) ?? "";
  }
}

function addPoint(series, name, time_ms, value) {
  const points = series.get(name) ?? [];
  const last = points.at(-1);
  if (last && last[1] === value && points.at(-2)?.[1] === value) last[0] = time_ms;
  else points.push([time_ms, value]);
  if (points.length > POINTS_MAX) points.shift();
  series.set(name, points);
}
