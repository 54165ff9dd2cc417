// What the owner should know now, derived from what the page knows; each leads to where more is said.

import { shortPeer } from "./dom.js";

const CERTIFICATE_LAG_MAX = 64;
const SETTLED_LAG_MS = 5000;

/** Alerts of `store`, the worst first: [{ bad, text, to }]. */
export function listAlerts(store) {
  const { status, members, stake } = store;
  const bad = (text, to) => ({ bad: true, text, to });
  const warn = (text, to) => ({ bad: false, text, to });
  const found = status.alarms.map((text) => bad(text, "evidence"));
  for (const border of status.frozen_borders) {
    found.push(bad(`The border to committee ${border} is frozen: it was proven to contradict itself.`,
      "evidence"));
  }
  if (!stake.conserved) found.push(bad("Credits are not conserved: the sum of all buckets is off.", "accounts"));
  const up = members.members.filter((member) => member.connected).length;
  if (up < members.q) {
    found.push(bad(`${up} of ${members.n} members are linked, ${members.q} are a quorum: nothing is decided ` +
      "as far as this node can see.", "consensus"));
  } else if (up < members.n) {
    const down = members.members.filter((member) => !member.connected);
    found.push(warn(`Not linked: ${down.map((member) => shortPeer(member.peer_id)).join(", ")}.`, "consensus"));
  }
  if (status.roles.includes("observing")) {
    found.push(warn("This member only observes: it may have forgotten some of what it signed.", "consensus"));
  }
  const lag = status.position - status.certified_position;
  if (lag > CERTIFICATE_LAG_MAX) {
    found.push(warn(`${lag} entries wait for a quorum's certificate.`, "consensus"));
  }
  const halts = store.markets.filter((item) => item.halted_until_ms > status.agreed_time_ms + SETTLED_LAG_MS);
  for (const item of halts) {
    found.push(warn(`The market of ${item.name ?? item.capability.slice(0, 8)} is halted: its price moved too far.`,
      `market/${item.capability}`));
  }
  const accused = store.evidence.filter((item) => item.state === "seen" || item.state === "ordered");
  for (const item of accused) {
    found.push(warn(`${shortPeer(item.offender)} was caught in an offence: ${item.kind.replaceAll("_", " ")}.`,
      `evidence/${item.id}`));
  }
  return found;
}
