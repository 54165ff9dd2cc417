// What the page knows: answers of the API, asked again when the log grows, and a fold of the log's
// newest entries into what changes over time.

import { get, follow } from "./api.js";

const PAGE = 256;
const HISTORY_ENTRIES = 1024;
const RECENT_MAX = 4000;
const POINTS_MAX = 400;
const PAGE_ITEMS = 100;
const REFRESH_MS = 1000;
const POLL_MS = 5000;
const FRESH_MS = 1500;

export class Store extends EventTarget {
  constructor(committee) {
    super();
    this.committee = committee;
    this.state = "connecting";
    this.recent = [];
    this.prices = new Map();
    this.posted = new Map();
    this.scores = new Map();
    this.bonds = [];
    this.commits = [];
    this.views = [];
    this.names = new Map();
    this.capabilityOf = new Map();
    this.changed = new Map();
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
    if (this.state === state) return;
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
    const page = { ...at, limit: PAGE_ITEMS };
    const [status, members, peers, stake, reputation, tasks, auctions, capabilities, markets, halts,
      variables, evidence, committees] = await Promise.all([
      get("/v1/status", at), get("/v1/members", at), get("/v1/peers"), get("/v1/stake", at),
      get("/v1/reputation", at), get("/v1/history/tasks", page), get("/v1/history/auctions", page),
      get("/v1/capabilities", at), get("/v1/market/prices", at), get("/v1/market/halts", page),
      get("/v1/variables", at), get("/v1/evidence"), get("/v1/committees"),
    ]);
    if (this.stopping.signal.aborted) return;
    this.noteChanges(tasks.tasks);
    Object.assign(this, { status, members, peers: peers.peers, stake, reputation,
      tasks: tasks.tasks, taskCounts: tasks.counts, auctions: auctions.auctions,
      auctionCounts: auctions.counts, capabilities: capabilities.capabilities, markets: markets.prices,
      halts: halts.halts, variables: variables.variables, evidence: evidence.evidence,
      committees: committees.committees });
    for (const item of this.capabilities) this.names.set(item.id, `${item.name} ${item.version}`);
    const view = this.views.at(-1);
    if (!view || view.view !== status.view || view.epoch !== status.epoch) {
      this.views.push({ view: status.view, epoch: status.epoch, primary: status.primary,
        seen_ms: Date.now() });
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Remember which tasks came to another state, for a moment. */
  noteChanges(tasks) {
    const now = performance.now();
    const before = new Map((this.tasks ?? []).map((item) => [item.id, item.state]));
    for (const [id, since] of this.changed) if (now - since > FRESH_MS) this.changed.delete(id);
    if (!this.tasks) return;
    for (const item of tasks) if (before.get(item.id) !== item.state) this.changed.set(item.id, now);
  }

  fold(entry) {
    const last = this.commits.at(-1);
    this.commits.push({ position: entry.position, time_ms: entry.time_ms, facts: entry.facts.length,
      gap_ms: last ? entry.time_ms - last.time_ms : 0 });
    if (this.commits.length > HISTORY_ENTRIES) this.commits.shift();
    for (const fact of entry.facts) this.foldFact(fact, entry);
  }

  foldFact(fact, entry) {
    if (fact.kind === "task_opened") this.capabilityOf.set(fact.task, fact.capability);
    if (fact.kind === "awarded") {
      addPoint(this.prices, this.capabilityOf.get(fact.task) ?? "", entry.time_ms, fact.price);
    }
    if (fact.kind === "price_posted") {
      addPoint(this.posted, fact.capability, entry.time_ms, fact.price);
    }
    if (fact.kind === "snapshot") {
      for (const item of fact.scores) {
        addPoint(this.scores, item.agent, entry.time_ms, item.score_ppm);
      }
    }
    for (const move of fact.moves) {
      const { position, time_ms } = entry;
      if (move.source_bucket === "bonded") {
        this.bonds.push({ position, time_ms, account: move.source, change: -move.amount });
      }
      if (move.target_bucket === "bonded") {
        this.bonds.push({ position, time_ms, account: move.target, change: move.amount });
      }
    }
    if (this.bonds.length > RECENT_MAX) this.bonds.splice(0, this.bonds.length - RECENT_MAX);
    this.recent.unshift({ position: entry.position, time_ms: entry.time_ms, fact });
    if (this.recent.length > RECENT_MAX) this.recent.pop();
  }

  /** Bonded credits over time, by account: from what is bonded now back through the moves. */
  stakes(account = null) {
    const now = this.status.agreed_time_ms;
    const start = this.commits[0]?.time_ms ?? now;
    return new Map(this.stake.accounts.filter((item) => account === null || item.peer_id === account)
      .map((item) => {
        const points = [[now, item.bonded]];
        let value = item.bonded;
        for (const move of this.bonds.toReversed()) {
          if (move.account !== item.peer_id || move.position > this.stake.position) continue;
          points.push([move.time_ms, value]);
          value -= move.change;
        }
        points.push([start, value]);
        return [item.peer_id, points.reverse()];
      }));
  }

  /** Scores over time, by agent: those of the snapshots that this page has read, and the present. */
  reputations(agent = null) {
    const now = this.status.agreed_time_ms;
    const start = this.commits[0]?.time_ms ?? now;
    return new Map(this.reputation.scores.filter((item) => agent === null || item.peer_id === agent)
      .map((item) => [item.peer_id, [...(this.scores.get(item.peer_id) ?? [[start, item.score_ppm]]),
        [now, item.score_ppm]]]));
  }

  nameCapability(id) {
    return this.names.get(id) ?? id?.slice(0, 8) ?? "";
  }
}

/** Add a point to the series `name`; of equal values in a row the first and the last stay. */
export function addPoint(series, name, time_ms, value) {
  const points = series.get(name) ?? [];
  const last = points.at(-1);
  if (last && last[1] === value && points.at(-2)?.[1] === value) last[0] = time_ms;
  else points.push([time_ms, value]);
  if (points.length > POINTS_MAX) points.shift();
  series.set(name, points);
}
